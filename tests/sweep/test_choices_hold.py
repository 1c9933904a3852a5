"""Tests that jobs build what their rows say, whatever the rest of the config says."""

from __future__ import annotations

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra

from neroRL.composition.application import run
from neroRL.composition.checking import check, plain
from neroRL.environments.factory import make_single
from neroRL.environments.specification import specification_of
from neroRL.identity import identity_of
from neroRL.models.actor_critic import ActorCritic
from neroRL.models.memory.none import NoMemory
from neroRL.models.memory.recurrent import RecurrentMemory
from neroRL.models.memory.transformer import TransformerMemory
from tests.sweep.stacks import GROUP_OF_KEY, draw

GATES = {3: "gru", 4: "lstm"}


def built(composed) -> dict:
    """Builds a job's environment and network, and returns what they are."""
    config = check(plain(composed))
    environment = make_single(config.environment, 2)
    with torch.device("meta"):  # draws no weights: only what is built is asked
        model = ActorCritic(config.model, specification_of(environment))
    memory, hidden, heads = "none", None, None
    if isinstance(model.memory, RecurrentMemory):
        hidden = model.memory.recurrents[0].in_features
        memory = GATES[model.memory.recurrents[0].out_features // hidden]
    elif isinstance(model.memory, TransformerMemory):
        memory, heads = "transformer", model.memory.blocks[0]._heads
    else:
        assert isinstance(model.memory, NoMemory)
    environment.reset(seed=0)
    core = environment.unwrapped
    name = core.spec.id
    view = getattr(core, "agent_view_size", None)
    kind = "CartPole"
    if name.startswith("MiniGrid"):
        kind = "Minigrid" if "visual" in environment.observation_space.spaces else "MinigridVec"
    environment.close()
    return {
        "memory": memory,
        "hidden_state_size": hidden,
        "num_heads": heads,
        "type": kind,
        "name": name,
        "view-size": view,
        "units": model.hidden[0].out_features,
    }


def _assert_holds(seed: int, directory, monkeypatch) -> None:
    directory.mkdir()
    monkeypatch.chdir(directory)
    stack = draw(seed, directory)
    jobs: list[tuple[dict, dict]] = []

    def build(composed) -> float:
        jobs.append((dict(identity_of(composed).swept), built(composed)))
        return 0.0

    GlobalHydra.instance().clear()
    arguments = [*stack.arguments, "hydra/launcher=joblib", "hydra.launcher.n_jobs=1"]
    status = run([*arguments, "hydra.sweep.dir=out"], build)
    assert status == 1, stack  # nothing was trained, so no job leaves a result
    expected = [
        ({GROUP_OF_KEY.get(key, key): value for key, value in row.items()}, facts)
        for row, facts in stack.expected()
    ]
    assert jobs == expected, stack


@pytest.mark.parametrize(
    "seed", [*range(2), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12))]
)
def test_every_job_builds_what_its_row_says(seed, tmp_path, monkeypatch):
    _assert_holds(seed, tmp_path / "stack", monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(
    "block",
    [0, *(pytest.param(block, marks=pytest.mark.exhaustive) for block in range(1, 40))],
)
def test_every_job_of_many_stacks_builds_what_its_row_says(block, tmp_path, monkeypatch):
    for seed in range(1000 + 8 * block, 1008 + 8 * block):
        _assert_holds(seed, tmp_path / str(seed), monkeypatch)
