"""Compares the sweep that a directory holds with the one that is about to run there."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from neroRL.composition.overrides import override_key
from neroRL.config.budget import UPDATES, without_budget
from neroRL.config.documents import dump_yaml
from neroRL.config.nested import flat
from neroRL.config.roles import PLACE
from neroRL.config.schema import ADDED_KEYS, MEMORIES
from neroRL.errors import OutputError
from neroRL.files import check_place_of_jobs
from neroRL.records.sweep_record import RECORD_FILE, SweepRecord, command_line, hardware, versions
from neroRL.records.sweeps import enclosing_sweep
from neroRL.seeds import drawn_seed
from neroRL.sweep import racing
from neroRL.sweep.jobs import SEED, seed_of_choice
from neroRL.sweep.plan import SweepPlan
from neroRL.sweep.points import Axis


def axes_of(axes: Sequence[Axis]) -> dict[str, list[Any]]:
    """Returns the axes as the record has them."""
    return {axis.key: [choice.value for choice in axis.choices] for axis in axes}


def space_of(plan: SweepPlan) -> dict[str, Any]:
    """Returns how the axes make the search space, as the record has it; empty for a product."""
    grids = plan.searched.union.grids
    is_product = all(len(dimension) == 1 for dimension in grids[0].dimensions)
    found: dict[str, Any] = {}
    if len(grids) > 1 or not is_product or grids[0].exclude:
        found["grids"] = [
            {
                "axes": [axes_of(dimension) for dimension in grid.dimensions],
                "exclude": [
                    {key: list(values) for key, values in exclusion.values.items()}
                    for exclusion in grid.exclude
                ],
            }
            for grid in grids
        ]
    if plan.options.design != "grid":
        found["design"] = plan.options.design
    if plan.options.sample is not None:
        found["sample"] = plan.options.sample
    return found


def trained_axes(record: SweepRecord) -> dict[str, Sequence[Any]]:
    """Returns the swept keys and the values that jobs have; drawn seeds are the numbers drawn."""
    seeds = [seed_of_choice(seed, record.drawn_seeds) for seed in record.axes.get(SEED, [])]
    return {**record.axes, **({SEED: seeds} if seeds else {})}


def record_of(plan: SweepPlan, earlier: SweepRecord | None) -> SweepRecord:
    """Returns the record of a sweep that is about to run, and draws its seeds.

    Args:
        plan: of the sweep.
        earlier: the record of the same sweep if it is continued; its drawn seeds stay, and its
            ``id`` unless it is a copy.
    """
    seed = plan.seed
    if seed < 0:
        seed = earlier.seed if earlier is not None else drawn_seed()
    # Earlier repetitions stay part of the sweep even if fewer are asked for now.
    laps = max(plan.options.num_repetitions, earlier.repetitions if earlier else 0)
    axes = axes_of(plan.space.axes)
    race, race_is_over = asdict(racing.rule_of(plan)) if plan.options.races else {}, False
    if plan.options.only is not None and earlier is not None:  # some permutations, and no race
        race, race_is_over = dict(earlier.race), earlier.race_is_over
    dropped = earlier.dropped if earlier is not None else {}
    record = SweepRecord(
        base=plan.base,
        axes=axes,
        seed=seed,
        tune=str(plan.options.tune) if plan.options.tune else None,
        repetitions=laps,
        permutations=len(plan.space),
        jobs=len(plan.findings.valid) * laps,
        conditional=tuple(plan.overrides.conditional()),
        drawn_seeds=tuple(_drawn_seeds(axes.get(SEED, []), earlier)),
        id=earlier.id if earlier and not _is_copy(plan, earlier) else _new_id(plan),
        command=command_line(),
        versions=versions(),
        hardware=hardware(),
        confirm=plan.options.confirm,
        confirm_repetitions=plan.options.confirm_repetitions,
        space=space_of(plan),
        race=race,
        race_is_over=race_is_over,
        dropped=dropped,
        edition=earlier.edition if earlier is not None else 0,
    )
    if earlier is None or not is_changed(earlier, record):
        return record
    return replace(record, edition=earlier.edition + 1)


def _new_id(plan: SweepPlan) -> str:
    return f"{plan.base['run_id']}-{secrets.token_hex(4)}"


def _is_copy(plan: SweepPlan, record: SweepRecord) -> bool:
    """Returns whether a sweep was copied from one beside it, whose rows would be taken for its own.

    The one that still has the name that its ``id`` begins with is the original.

    Args:
        plan: of the current command.
        record: of the sweep in its directory.
    """
    if not record.id or Path(record.id.rpartition("-")[0]).name == plan.directory.name:
        return False
    line = f"\n{dump_yaml({'id': record.id})}"
    for path in plan.directory.parent.glob(f"*/{RECORD_FILE}"):
        with contextlib.suppress(OSError, ValueError):  # something else of this name
            if not path.parent.samefile(plan.directory) and line in path.read_text("utf-8"):
                return True
    return False


def _drawn_seeds(swept: Sequence[Any], earlier: SweepRecord | None) -> list[int]:
    """Returns a seed for each choice that asks for one; seeds drawn before stay."""
    count = sum(type(value) is int and value < 0 for value in swept)
    drawn = list(earlier.drawn_seeds) if earlier is not None else []
    return drawn + [drawn_seed() for _ in range(count - len(drawn))]


def _space_difference(old: SweepRecord, new: SweepRecord) -> list[str]:
    lines = []
    for key in dict.fromkeys([*old.axes, *new.axes]):
        was, now = old.axes.get(key), new.axes.get(key)
        if was != now:
            lines.append(f"{key}: there {_shown(was)}, now {_shown(now)}")
    if not lines and list(old.axes) != list(new.axes):
        lines.append(f"order of keys: there {list(old.axes)}, now {list(new.axes)}")
    for name, empty in (("design", "grid"), ("sample", None), ("grids", None)):
        was, now = old.space.get(name, empty), new.space.get(name, empty)
        if was == now:
            continue
        if name == "grids":
            lines += ["what changes together, or is excluded, differs"] if not lines else []
        else:
            lines.append(f"hydra.sweeper.{name}: there {was}, now {now}")
    if list(old.conditional) != list(new.conditional):
        there, here = list(old.conditional), list(new.conditional)
        lines.append(f"values that apply beside some choices: there {there}, now {here}")
    return lines


def is_same_space(old: SweepRecord, new: SweepRecord) -> bool:
    """Returns whether the permutations of two sweeps have the same numbers."""
    return list(old.axes.items()) == list(new.axes.items()) and old.space == new.space


def is_renamed(old: SweepRecord, new: SweepRecord) -> bool:
    """Returns whether what one sweep trained has other numbers or rows in the other."""
    return old.id != new.id or not is_same_space(old, new)


def is_changed(old: SweepRecord, new: SweepRecord) -> bool:
    """Returns whether the jobs of two sweeps differ, if one may continue the other."""
    is_swept = UPDATES in old.axes and UPDATES in new.axes
    return is_renamed(old, new) or (is_longer(old, new) and not is_swept)


def refuse_other_sweep(
    directory: Path, there: SweepRecord, now: SweepRecord, *, extend: bool
) -> None:
    """Refuses to run a sweep in the directory of a different one.

    Args:
        directory: of the sweep.
        there: its record.
        now: the record of the sweep that is about to run.
        extend: whether the search space may be another one, and trainings may get longer.

    Raises:
        OutputError: they differ; it lists every difference and the ways out.
    """
    base = _base_difference(there, now)
    if extend and is_longer(there, now):
        base = _base_difference(
            replace(there, base=without_budget(there.base)),
            replace(now, base=without_budget(now.base)),
        )
    conditional = _changed_conditionals(there, now) if extend else {}
    lines = [*_base_lines(base | conditional), *([] if extend else _space_difference(there, now))]
    if there.seed != now.seed:
        lines.append(f"seed: there {there.seed}, now {now.seed}")
    if lines:
        ways = ["use another --run-id or --out", "remove it"]
        if not conditional:
            ways += _ways_to_extend(there, now, base)
        listed = "\n  ".join(lines)
        raise OutputError(
            f"{directory} holds a different sweep; nothing was changed. "
            f"You can {'; or '.join(ways)}.\n  {listed}"
        )


def is_longer(old: SweepRecord, new: SweepRecord) -> bool:
    """Returns whether the trainings of a sweep get more updates."""
    return bool(new.base["trainer"]["updates"] > old.base["trainer"]["updates"])


def _base_difference(old: SweepRecord, new: SweepRecord) -> dict[str, tuple[Any, Any]]:
    was, now = ADDED_KEYS | flat(old.base), ADDED_KEYS | flat(new.base)
    # In a product, no permutation has the base config's value of a swept key.
    unused = set() if old.space or new.space else old.axes.keys() & new.axes.keys()
    return {
        key: (was.get(key), now.get(key))
        for key in dict.fromkeys([*was, *now])
        if was.get(key) != now.get(key) and key not in (*PLACE, SEED) and key not in unused
    }


def _changed_conditionals(old: SweepRecord, new: SweepRecord) -> dict[str, tuple[str, str]]:
    """Returns the values beside some choices that are others now; those of new choices may come."""
    was, now = (
        {override_key(text): text.partition("=")[2] for text in record.conditional}
        for record in (old, new)
    )
    return {key: (was[key], now[key]) for key in was if now.get(key, was[key]) != was[key]}


def _base_lines(changed: Mapping[str, tuple[Any, Any]]) -> list[str]:
    return [f"{key}: there {was}, now {now}" for key, (was, now) in changed.items()]


def _ways_to_extend(
    there: SweepRecord, now: SweepRecord, changed: Mapping[str, tuple[Any, Any]]
) -> list[str]:
    """Returns the ways in which ``hydra.sweeper.extend=true`` allows the difference."""
    option = "hydra.sweeper.extend=true"
    if not changed and is_same_space(there, now):  # the seed is another one
        return []
    if UPDATES in changed and not is_longer(there, now):  # trainings cannot get shorter
        return []
    if not changed:
        gone = [key for key in there.axes if key not in now.axes]
        if gone:
            return [f"sweep {' and '.join(gone)} again, with {option} for other choices"]
        return [f"add {option}, which keeps what is done and trains the rest"]
    if changed.keys() == {UPDATES} and is_longer(there, now):
        return [f"add {option}, which trains them longer from their last checkpoints"]
    budget = [key for key in changed if key.endswith(".max_decay_steps")]
    if budget and is_longer(there, now):
        was = there.base["trainer"]["updates"]
        fixed = " ".join(f"{key}={was}" for key in budget)
        return [f"keep the schedules of the shorter trainings with {fixed} and {option}"]
    key, (was, value) = next(iter(changed.items()))
    if key.startswith(tuple(f"model.{name}" for name in MEMORIES)):
        return [f"sweep model/memory over both, with {option}"]
    return [f"sweep {key} over {was} and {value}, with {option}"]


def check_directory(directory: Path) -> None:
    """Refuses an output directory that cannot hold a sweep, without creating anything.

    Raises:
        OutputError: :func:`~neroRL.files.check_place_of_jobs` refuses it, it is inside another
            sweep, or it holds something that is no sweep.
    """
    check_place_of_jobs(directory)
    outer = enclosing_sweep(directory)
    if outer is not None:
        message = f"{directory} is inside the sweep {outer}"
        raise OutputError(f"{message}; use another --out or --run-id")
    if directory.exists() and not (directory / RECORD_FILE).exists():
        foreign = sorted(path.name for path in directory.iterdir() if path.name[0] != ".")
        if foreign:
            raise OutputError(
                f"{directory} holds {', '.join(foreign[:3])} but no {RECORD_FILE}; nothing there "
                "is overwritten, use another --out or --run-id"
            )


def _shown(choices: Sequence[Any] | None) -> str:
    return "not swept" if choices is None else str(list(choices))
