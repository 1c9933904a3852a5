"""Tests published configs of all versions of the original: each works or is refused by name.

``tests/published/<name>-<commit>.yaml`` has the keys and values of a file in the original's
``configs/`` at that commit.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from neroRL.composition.checking import check
from neroRL.environments.factory import make_vector
from neroRL.models.actor_critic import ActorCritic
from neroRL.records.results import read_result
from tests.environments.unity_peer import TOWER, Behaviour, write_peer

PUBLISHED = Path(__file__).resolve().parents[1] / "published"

# The expected values of today's keys, by dotted path, and the number of warnings of old keys.
BATCH = {"sampler.n_workers": 16, "sampler.worker_steps": 256, "trainer.n_mini_batches": 8}
FIRST_GRU = {
    "model.recurrence.layer_type": "gru",
    "model.recurrence.sequence_length": 1,
    "model.recurrence.reset_hidden_state": False,
    "model.recurrence.embed": False,
}
WORK = {
    "cartpole-57e37cc": (4, {**FIRST_GRU, "model.recurrence.hidden_state_size": 128}),
    "cartpole-fe5dce0": (4, {"sampler.worker_steps": 512, "trainer.n_mini_batches": 8}),
    "cartpole-12d3674": (5, {"model.num_vec_encoder_units": 1024}),
    "cartpole-8dd62bd": (0, {"model.recurrence.reset_hidden_state": False}),
    "default-57e37cc": (4, {**FIRST_GRU, "sampler.n_workers": 16, "trainer.n_mini_batches": 4}),
    "default-f2714b3": (3, {"model.recurrence.hidden_state_size": 128}),
    "default-08cf855": (4, {"environment.positional_encoding": False}),
    "emp_trxl-01dfbc7": (5, {"model.transformer.positional_encoding": "absolute"}),
    "minigrid-57e37cc": (4, {**BATCH, **FIRST_GRU, "model.recurrence.hidden_state_size": 512}),
    "minigrid-45305a7": (4, {**BATCH, "model.recurrence.layer_type": "lstm"}),
    "minigrid-12d3674": (5, {**BATCH, "evaluation.seeds": [1001, 1002, 1003, 1004, 1005]}),
    "minigrid-8dd62bd": (1, {**BATCH, "model.recurrence.embed": True}),
    "minigrid_vec-98704d8": (3, {**BATCH, "model.recurrence.hidden_state_size": 32}),
    "mmb_grid-2fe0851": (2, {"environment.reset_params.explosion_delay": 5}),
    "mmbg_pos_enc-e685392": (4, {"environment.positional_encoding": True}),
    "mortar_mayhem-8dd62bd": (0, {"model.recurrence.sequence_length": -1}),
    "mystery_path-a832e5c": (0, {"environment.last_action_to_obs": True}),
    "searing_spotlights-4a64689": (3, {"environment.reset_params.agent_health": 100.0}),
    "transformer-09d9235": (5, {"model.transformer.num_blocks": 3}),
    "trxl-2117ebc": (3, {"model.transformer.gtrxl": True}),
    "trxl-8dd62bd": (1, {"model.transformer.memory_length": 64}),
}
# Executables are not shipped, so a peer plays these.
UNITY = {
    "hallway-40e4421": (6, {"sampler.worker_steps": 512, "model.vis_encoder": "cnn"}),
    "mortar_mayhem-2e87c8b": (3, {"model.num_vec_encoder_units": 64}),
    "searing_spotlights-044e8a2": (3, {"environment.reset_params.num-coins": 1}),
    "otc-57e37cc": (4, {**FIRST_GRU, "sampler.n_workers": 4}),
    "otc-12d3674": (2, {"environment.reset_params.use-moorish": False}),
}
REFUSED = {
    "ballet-8dd62bd": ["environment.type: Ballet"],
    "bossfight-4909314": ["environment.spotlight_perturbation: perturbing images by spotlights"],
    "decoder_training-8e261d7": [
        "model.obs_decoder: the decoder of observations",
        "trainer.algorithm: DecoderTrainer",
    ],
    "decoupled_cartpole-09d9235": [
        "trainer.DAAC: the advantage head of DAAC",
        "trainer.algorithm: DecoupledPPO",
    ],
    "decoupled_minigrid-1f8112c": ["trainer.algorithm: DecoupledPPO"],
    "ground_truth_training-8e261d7": [
        "model.ground_truth_estimator: estimating the ground truth",
        "trainer.algorithm: GroundTruthTrainer",
    ],
    "hcam-0fdaec6": ["model.transformer.layer_type: choosing another transformer"],
    "helmv1-fe7c267": ["model.helmv1: HELM"],
    "helmv2-31b850a": ["model.helmv2: HELM"],
    "maze-1847d4e": ["environment.type: RandomMaze"],
    "odyssey-7bda84c": ["model.modalities: an encoder for each modality"],
    "pendulum-113713d": ["model.modalities: an encoder for each modality"],
    "poc_memory_env-e648742": ["environment.type: PoCMemoryEnv"],
    "poke_red-1a1c342": ["environment.type: PokeRed"],
    "popgym-03f4c9a": ["environment.type: POPGym"],
    "procgen-0651221": ["environment.type: Procgen"],
    "searing_spotlights_gt-1135436": [
        "model.ground_truth_estimator: estimating the ground truth",
        "trainer.ground_truth_estimator_schedule: estimating the ground truth",
    ],
    "trxl-49a6819": ["model.modalities: an encoder for each modality"],
}
REFUSED_OTHERWISE = {
    "ct-4c3e9f6": "model.transformer.positional_encoding: 'custom' is not allowed",
    "helm-069ec5d": "model.use_helm: True is not available; only False is",
    "mortar-3527d9a": "environment.name: MiniGrid-MortarAB-v0 is no registered MiniGrid id",
    "popgym-ace69be": "environment.obs_normalization: True is not available; only False is",
}


def test_every_published_config_is_in_a_table():
    known = {*WORK, *UNITY, *REFUSED, *REFUSED_OTHERWISE}
    assert {path.stem for path in PUBLISHED.glob("*.yaml")} == known


@pytest.fixture
def dry_run(door, tmp_path):
    """Runs the dry run of a sweep of one job over a published config."""
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  trainer.epochs: [1]\n")

    def call(name: str, *overrides: str):
        config = f"--config={PUBLISHED / name}.yaml"
        return door("ntune", [config, "--tune=space.yaml", "--cfg=job", *overrides])

    return call


def _check_composed(outcome, warnings: int, expected: dict) -> dict:
    assert outcome.status == 0, outcome.err
    told = [line for line in outcome.err.splitlines() if "taken as" in line or "ignored" in line]
    assert len(told) == warnings, outcome.err
    composed = yaml.safe_load(outcome.out)
    for path, value in expected.items():
        found = composed
        for key in path.split("."):
            found = found[key]
        assert found == value, path
    return composed


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", WORK)
def test_works(name, dry_run):
    """Checks the config, and builds the network for its environment."""
    composed = _check_composed(dry_run(name), *WORK[name])
    config = check(composed)
    environment = make_vector(config.environment, 2, seed=0)
    environment.restart()
    model = ActorCritic(config.model, environment.specification)
    current = environment.table.at(environment.ids)
    features = model.features({key: torch.from_numpy(array) for key, array in current.items()})
    state = model.begin(2, torch.Generator())
    state.begin_rollout(1)
    outputs = state.step(features)
    assert outputs.shape == (2, sum(environment.specification.actions) + 1)
    actions = [[count - 1 for count in environment.specification.actions]] * 2
    environment.advance(torch.tensor(actions).numpy())
    environment.close()


@pytest.mark.usefixtures("ports")
@pytest.mark.parametrize("name", UNITY)
def test_works_with_an_executable(name, dry_run, tmp_path):
    behaviour = TOWER if name.startswith("otc") else Behaviour()
    peer = write_peer(tmp_path / "peer", behaviour)
    _check_composed(dry_run(name, f"environment.name={peer}"), *UNITY[name])


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_by_its_name(name, dry_run):
    outcome = dry_run(name)
    assert outcome.status == 2
    for what in REFUSED[name]:
        (line,) = [line for line in outcome.err.splitlines() if f"{what} is not available" in line]
        assert f"{name}.yaml:" in line
    assert "unknown key" not in outcome.err


@pytest.mark.parametrize("name", REFUSED_OTHERWISE)
def test_is_refused_with_the_reason(name, dry_run):
    outcome = dry_run(name)
    assert outcome.status == 2
    assert REFUSED_OTHERWISE[name] in outcome.err
    assert "unknown key" not in outcome.err


def test_the_first_version_trains_what_it_asks_for(door, tmp_path):
    """It has 16 workers of 256 steps, 8 mini batches, and a GRU of 512 right after the encoder."""
    config = f"--config={PUBLISHED / 'cartpole-57e37cc'}.yaml"
    small = ["trainer.updates=1", "sampler.worker_steps=16", "threads=1", "hydra.run.dir=job"]
    outcome = door("ntrain", [config, *small])
    assert outcome.status == 0, outcome.err
    result = read_result(tmp_path / "job")
    assert result.env_steps == 16 * 16
    (path,) = (tmp_path / "job/checkpoints").iterdir()
    weights = torch.load(path, weights_only=True)["model"]
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items() if "memory" in name}
    assert (3 * 128, 128) in shapes.values()
    assert not [name for name in shapes if "embedding" in name]


def test_an_error_in_an_old_key_has_its_line(door, tmp_path):
    (tmp_path / "old.yaml").write_text("trainer:\n  updates: 3\n  n_workers: 0\n")
    outcome = door("ntrain", ["--config=old.yaml"])
    assert outcome.status == 2
    assert "old.yaml:3: sampler.n_workers: 0 is not allowed" in outcome.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainer: {n_workers: 4}\nsampler: {n_workers: 8}\n", "old name of sampler.n_workers"),
        ("trainer: {n_workers: 4}\nsampler: [8]\n", "and sampler is no map"),
        ("model: {use_recurrent: 1}\n", "1 is not allowed; expected true or false"),
        (
            "model: {use_recurrent: False, recurrence: {layer_type: gru}}\n",
            "is False, but there is a recurrence",
        ),
        ("model: {residual: True}\n", "True is not available; only False is"),
        ("trainer: {fake_recurrence: True}\n", "True is not available; only False is"),
    ],
)
def test_old_keys_that_cannot_be_obeyed(text, message, door, tmp_path):
    (tmp_path / "old.yaml").write_text(text)
    outcome = door("ntrain", ["--config=old.yaml", "hydra.run.dir=job"])
    assert outcome.status == 2
    assert "old.yaml:1: " in outcome.err
    assert message in outcome.err
    assert not (tmp_path / "job").exists()
