"""Values that do nothing are told: swept ones always, others where they are likely mistakes."""

from __future__ import annotations

import pytest

from neroRL.composition.idle import cautions_without_effect
from neroRL.config.checks import build

CARTPOLE = {"type": "CartPole", "name": "CartPole-v1"}
PENDULUM = {"type": "Gymnasium", "name": "Pendulum-v1"}
LOADED = "where load_model is true: the loaded weights replace the initial ones"
ENDLESS = {"type": "MemoryGym", "name": "Endless-MortarMayhem-v0"}
EXPLICIT = {"evaluation": {"evaluate": True, "seeds": {"explicit-seeds": [7]}}}
LENGTH = "model.transformer.memory_length"
GRID = {"type": "Minigrid", "name": "MiniGrid-Empty-5x5-v0"}


def _told(swept=(), **sections) -> list[str]:
    config = build({"environment": CARTPOLE, **sections})
    return [str(caution) for caution in cautions_without_effect(config, swept)]


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        (
            {"type": "Minigrid", "name": "MiniGrid-Empty-5x5-v0"},
            ["environment.normalize_vector_obs", "model.log_std_init"],
        ),
        (CARTPOLE, ["model.log_std_init"]),
        (PENDULUM, []),
        ({"type": "Unity", "name": "./nowhere"}, []),
    ],
)
def test_keys_without_effect_are_told(environment, told):
    asked = {**environment, "normalize_vector_obs": True}
    config = build({"environment": asked, "model": {"log_std_init": -1.0}})
    found = cautions_without_effect(config)
    assert [problem.path for problem in found] == told
    assert all("has no effect" in problem.message for problem in found)
    assert cautions_without_effect(build({"environment": environment})) == []


def test_mistakes_are_told_where_nothing_is_swept():
    schedule = {"initial": 1.0e-3, "power": 3.0, "max_decay_steps": 5}
    reason = "has no effect without another final: nothing decays"
    assert _told(trainer={"learning_rate_schedule": schedule}) == [
        f"trainer.learning_rate_schedule.power: {reason}",
        f"trainer.learning_rate_schedule.max_decay_steps: {reason}",
    ]
    assert _told(trainer={"learning_rate_schedule": {**schedule, "final": 1.0e-3}}) == []
    assert _told(model={"vec_encoder": "none", "num_vec_encoder_units": 64}) == [
        "model.num_vec_encoder_units: has no effect where vec_encoder is none"
    ]
    assert _told(model={"transformer": {"gtrxl_bias": 2.0, "gtrxl_swap": True}}) == [
        "model.transformer.gtrxl_bias: has no effect where gtrxl is false",
        "model.transformer.gtrxl_swap: has no effect where gtrxl is false",
    ]
    assert _told(model={"transformer": {"gtrxl_bias": 2.0, "gtrxl": True}}) == []
    assert _told(model={"transformer": {"memory_length": 501}}) == [
        f"{LENGTH}: has no effect beyond 500, the steps of the longest episode: all past ones are "
        "attended to"
    ]
    query = {"add_positional_encoding_to_query": True}
    assert _told(model={"transformer": query}) == []
    assert _told(model={"transformer": {**query, "positional_encoding": "learned"}}) == [
        "model.transformer.add_positional_encoding_to_query: has no effect unless "
        "positional_encoding is absolute"
    ]


@pytest.mark.parametrize(
    ("key", "sections", "reason"),
    [
        ("evaluation.n_workers", {}, "where evaluate is false"),
        ("evaluation.seeds", {}, "where evaluate is false"),
        ("evaluation.seeds.num-seeds", {}, "where evaluate is false"),
        ("evaluation.seeds.explicit-seeds", {}, "where evaluate is false"),
        ("evaluation.seeds.explicit-seeds", EXPLICIT, None),
        ("evaluation.seeds.start-seed", EXPLICIT, "beside explicit-seeds"),
        ("evaluation.seeds.num-seeds", EXPLICIT, "beside explicit-seeds"),
        ("evaluation.seeds.num-seeds", {"evaluation": {"evaluate": True}}, None),
        ("evaluation.interval", {"evaluation": {"evaluate": True}}, None),
        ("model.model_path", {}, "where load_model is false"),
        ("model.log_std_init", {"environment": PENDULUM}, None),
        (
            "model.log_std_init",
            {"environment": PENDULUM, "model": {"load_model": True}},
            LOADED,
        ),
        ("model.log_std_init", {"model": {"load_model": True}}, LOADED),
        ("model.transformer.init_weights", {"model": {"transformer": {}}}, None),
        (
            "model.transformer.init_weights",
            {"model": {"transformer": {}, "load_model": True}},
            LOADED,
        ),
        (
            "model.transformer.gtrxl_bias",
            {"model": {"transformer": {"gtrxl": True}, "load_model": True}},
            LOADED,
        ),
        (LENGTH, {"model": {"transformer": {}}}, "beyond 500, the steps of the longest episode"),
        (LENGTH, {"model": {"transformer": {"memory_length": 500}}}, None),
        (LENGTH, {"model": {"transformer": {"memory_length": -1}}}, None),
        (LENGTH, {"model": {"transformer": {}}, "environment": ENDLESS}, None),
        ("model.vis_encoder", {}, "since CartPole-v1 observes no image"),
        ("environment.grayscale", {}, "since CartPole-v1 observes no image"),
        ("environment.resize_vis_obs", {"environment": GRID}, None),
        ("model.vec_encoder", {}, None),
        ("model.vec_encoder", {"environment": GRID}, "since MiniGrid-Empty-5x5-v0 observes no"),
        ("model.vec_encoder", {"environment": {**GRID, "last_action_to_obs": True}}, None),
        ("model.log_std_init", {}, "since CartPole-v1 has no continuous actions"),
        (
            "trainer.clip_range_schedule.power",
            {"trainer": {"clip_range_schedule": {"initial": 0.2, "final": 0.2}}},
            "without another final: nothing decays",
        ),
        (
            "trainer.clip_range_schedule.power",
            {"trainer": {"clip_range_schedule": {"initial": 0.2, "final": 0.1}}},
            None,
        ),
    ],
)
def test_a_swept_key_that_does_nothing_is_told(key, sections, reason):
    assert _told(**sections) == []
    told = _told([key, "trainer.gamma"], **sections)
    assert len(told) == (reason is not None)
    assert reason is None or told[0].startswith(f"{key}: has no effect {reason}")
