"""Draws random sweeps (base config, groups, command line, tuning file) and their expected jobs."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

MEMORIES = ["none", "gru", "lstm", "transformer"]
# Environments by their group option: type, name and reset parameter.
ENVIRONMENTS = {
    "minigrid": ("Minigrid", "MiniGrid-Empty-Random-6x6-v0", "view-size", 3),
    "minigrid_vec": ("MinigridVec", "MiniGrid-Empty-Random-6x6-v0", "view-size", 3),
    "cartpole": ("CartPole", "CartPole-v1", "mask-velocity", True),
}
SIZES = {"small": 16, "big": 24}
GROUP_OF_KEY = {"hidden_state_size": "model.recurrence.hidden_state_size",
                "num_heads": "model.transformer.num_heads",
                "view-size": "environment.reset_params.view-size",
                "type": "environment.type"}  # fmt: skip


@dataclass
class Stack:
    """A sweep as a user writes it, and its base config.

    Attributes:
        arguments: arguments of ``python train.py``.
        axes: swept keys, in grid order, with their choices.
        said: what the base config says: memory, hidden_state_size, environment, name, view-size,
            size; what it leaves out is missing.
        fixed: single values of the command line.
    """

    arguments: list[str] = field(default_factory=list)
    axes: dict[str, list[Any]] = field(default_factory=dict)
    said: dict[str, Any] = field(default_factory=dict)
    fixed: dict[str, Any] = field(default_factory=dict)

    def expected(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Returns each job's row and facts: a naive product without the keys that do not apply."""
        found: list[tuple[dict[str, Any], dict[str, Any]]] = []
        for values in itertools.product(*self.axes.values()):
            row = dict(zip(self.axes, values, strict=True))
            facts = self.facts(row)
            for key in ("hidden_state_size", "num_heads", "view-size"):
                if facts[key] is None:
                    row.pop(key, None)
            if row not in [other for other, _ in found]:
                found.append((row, facts))
        return found

    def facts(self, row: dict[str, Any]) -> dict[str, Any]:
        """Returns what the job of a row must build."""
        memory = row.get("model/memory", self.fixed.get("model/memory", self.said["memory"]))
        environment = row.get("environment", self.said["environment"])
        kind, name, key, default = ENVIRONMENTS[environment]
        same_family = key == ENVIRONMENTS[self.said["environment"]][2]
        if "environment" not in row or same_family:
            name = self.said.get("name", name)
        kind = row.get("type", kind)
        recurrent, grid = memory in ("gru", "lstm"), key == "view-size"
        kept = self.said if self.said["memory"] in ("gru", "lstm") else {}
        view = self.said.get("view-size", default) if same_family else default
        return {
            "memory": memory,
            "hidden_state_size": self._value(row, "hidden_state_size", kept, 128)
            if recurrent else None,
            "num_heads": self._value(row, "num_heads", {}, 8)
            if memory == "transformer" else None,
            "type": kind,
            "name": name,
            "view-size": self._value(row, "view-size", {}, view) if grid else None,
            "units": SIZES[row["model/size"]] if "model/size" in row else self.said["units"],
        }  # fmt: skip

    def _value(self, row: dict[str, Any], key: str, said: dict[str, Any], default: Any) -> Any:
        return row.get(key, self.fixed.get(key, said.get(key, default)))


def draw(seed: int, directory: Path) -> Stack:
    """Draws a stack and writes its files."""
    drawn = random.Random(seed)
    stack = Stack()
    base = drawn.choice([_shipped, _single_file, _own_groups])(drawn, stack, directory)
    stack.arguments += [*base, "-m", "seed=1"]
    axes: dict[str, list[Any]] = {}
    if drawn.random() < 0.8:
        axes["model/memory"] = drawn.sample(MEMORIES, drawn.randint(1, 4))
    elif drawn.random() < 0.5:
        stack.fixed["model/memory"] = drawn.choice(MEMORIES)
    if drawn.random() < 0.5:
        axes["environment"] = drawn.sample(list(ENVIRONMENTS), drawn.randint(1, 3))
    elif ENVIRONMENTS[stack.said["environment"]][2] == "view-size" and drawn.random() < 0.5:
        axes["type"] = drawn.sample(["Minigrid", "MinigridVec"], drawn.randint(1, 2))
    memories = axes.get("model/memory", [stack.fixed.get("model/memory", stack.said["memory"])])
    if {"gru", "lstm"} & set(memories):
        _axis_or_value(drawn, stack, axes, "hidden_state_size", [20, 40])
    if "transformer" in memories:
        _axis_or_value(drawn, stack, axes, "num_heads", [2, 4])
        stack.arguments.append("model.transformer.embed_dim=64")  # the default takes long to draw
    environments = axes.get("environment", [stack.said["environment"]])
    if any(ENVIRONMENTS[name][2] == "view-size" for name in environments):
        _axis_or_value(drawn, stack, axes, "view-size", [5, 7])
    if "size" in stack.said and drawn.random() < 0.7:
        axes["model/size"] = drawn.sample(list(SIZES), drawn.randint(1, 2))
    keys = drawn.sample(list(axes), len(axes))
    in_file = [key for key in keys if drawn.random() < 0.6]
    on_command_line = [key for key in keys if key not in in_file]
    stack.axes = {key: axes[key] for key in [*in_file, *on_command_line]}
    _write_axes(drawn, stack, in_file, on_command_line, directory)
    return stack


def _axis_or_value(
    drawn: random.Random, stack: Stack, axes: dict[str, list[Any]], key: str, values: list[Any]
) -> None:
    chance = drawn.random()
    if chance < 0.5:
        axes[key] = drawn.sample(values, drawn.randint(1, 2))
    elif chance < 0.7:
        stack.fixed[key] = drawn.choice(values)


def _write_axes(
    drawn: random.Random,
    stack: Stack,
    in_file: list[str],
    on_command_line: list[str],
    directory: Path,
) -> None:
    if in_file:
        named = {
            drawn.choice([key, GROUP_OF_KEY.get(key, key)]): stack.axes[key] for key in in_file
        }
        (directory / "space.yaml").write_text(
            yaml.safe_dump({"hyperparameters": named}, sort_keys=False)
        )
        stack.arguments.append("hydra.sweeper.tune=space.yaml")
    given = [
        *(f"{GROUP_OF_KEY.get(key, key)}={value}" for key, value in stack.fixed.items()),
        *(
            f"{GROUP_OF_KEY.get(key, key)}={','.join(map(str, stack.axes[key]))}"
            if len(stack.axes[key]) > 1
            else f"{GROUP_OF_KEY.get(key, key)}=choice({stack.axes[key][0]})"
            for key in on_command_line
        ),
    ]
    fixed, swept = given[: len(stack.fixed)], given[len(stack.fixed) :]
    drawn.shuffle(fixed)
    # Axes stay in their order; single values may stand anywhere between them.
    for text in fixed:
        swept.insert(drawn.randint(0, len(swept)), text)
    stack.arguments += swept


def _shipped(drawn: random.Random, stack: Stack, directory: Path) -> list[str]:
    name = drawn.choice(["default", "minigrid", "minigrid_vec", "cartpole"])
    stack.said |= {
        "default": {"memory": "none", "environment": "minigrid"},
        "minigrid": {"memory": "none", "environment": "minigrid", "name": _said(name, "name")},
        "minigrid_vec": {"memory": "gru", "environment": "minigrid_vec",
                         "name": _said(name, "name"), "hidden_state_size": _said(name, "hidden")},
        "cartpole": {"memory": "gru", "environment": "cartpole",
                     "hidden_state_size": _said(name, "hidden")},
    }[name]  # fmt: skip
    stack.said = {key: value for key, value in stack.said.items() if value is not None}
    stack.said["units"] = 16
    return [f"--config-name={name}", "model.num_hidden_units=16"]


def _said(name: str, what: str) -> Any:
    path = Path(__file__).resolve().parents[2] / "conf" / f"{name}.yaml"
    content = yaml.safe_load(path.read_text())
    if what == "name":
        return content.get("environment", {}).get("name")
    return content.get("model", {}).get("recurrence", {}).get("hidden_state_size")


def _sections(drawn: random.Random, stack: Stack, memory: str | None) -> dict[str, Any]:
    """Returns the sections of a user's own base config."""
    content: dict[str, Any] = {"model": {"num_hidden_layers": 1}}
    stack.said["memory"] = memory or "none"
    if memory in ("gru", "lstm"):
        content["model"]["recurrence"] = {"layer_type": memory}
        if drawn.random() < 0.7:
            stack.said["hidden_state_size"] = 48
            content["model"]["recurrence"]["hidden_state_size"] = 48
    if drawn.random() < 0.5 and ENVIRONMENTS[stack.said["environment"]][2] == "view-size":
        stack.said["view-size"] = 9
        content["environment"] = {"reset_params": {"view-size": 9}}
    return content


def _single_file(drawn: random.Random, stack: Stack, directory: Path) -> list[str]:
    stack.said["environment"] = drawn.choice(list(ENVIRONMENTS))
    content = _sections(drawn, stack, drawn.choice([None, "gru", "lstm", "transformer"]))
    kind, name, key, _ = ENVIRONMENTS[stack.said["environment"]]
    if key == "view-size":
        name = stack.said["name"] = "MiniGrid-MemoryS7-v0"
    environment = {"type": kind, "name": name, **content.get("environment", {})}
    content["environment"] = environment
    if stack.said["memory"] == "transformer":
        content["model"]["transformer"] = {"embed_dim": 64, "memory_length": 8}
    content["model"]["num_hidden_units"] = stack.said["units"] = 12
    (directory / "base.yaml").write_text(yaml.safe_dump(content))
    return ["--config-path=.", "--config-name=base"]


def _own_groups(drawn: random.Random, stack: Stack, directory: Path) -> list[str]:
    (directory / "model/size").mkdir(parents=True)
    for option, units in SIZES.items():
        (directory / f"model/size/{option}.yaml").write_text(
            f"# @package model\nnum_hidden_units: {units}\n"
        )
    environment = drawn.choice(list(ENVIRONMENTS))
    memory = drawn.choice(["none", "gru", "lstm"])
    stack.said |= {"environment": environment, "size": drawn.choice(list(SIZES))}
    content = _sections(drawn, stack, memory)
    last = drawn.random() < 0.5  # whether what the file itself says comes after its groups
    content["defaults"] = [
        "default",
        *([] if last else ["_self_"]),
        {"model/size": stack.said["size"]},
        {"override environment": environment},
        {"override model/memory": memory},
        *(["_self_"] if last else []),
    ]
    stack.said["units"] = SIZES[stack.said["size"]]
    if last and drawn.random() < 0.5:
        content["model"]["num_hidden_units"] = stack.said["units"] = 20
    (directory / "base.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return ["--config-path=.", "--config-name=base"]
