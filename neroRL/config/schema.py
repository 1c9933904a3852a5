"""The typed configuration: every key of a neroRL config, its default and its bounds.

The classes are plain dataclasses whose fields pydantic checks when they are built from a
mapping (see :func:`neroRL.config.build`). Types are strict: ``"4"`` is no integer and ``1`` no
boolean. Nothing here imports torch or an environment.
"""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

from pydantic import ConfigDict, Field, Strict
from pydantic.dataclasses import dataclass

from neroRL.files import expanded

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False, populate_by_name=True)

# Scalars are strict one by one: a strict dataclass would not be built from a mapping.
Flag = Annotated[bool, Strict()]
Integer = Annotated[int, Strict()]
Text = Annotated[str, Strict()]
Positive = Annotated[Integer, Field(gt=0, le=2**31 - 1)]
NotNegative = Annotated[Integer, Field(ge=0, le=2**31 - 1)]
# Limits that no machine reaches, so that a typing error is reported before it takes all memory.
Workers = Annotated[Integer, Field(gt=0, le=2**16)]
Units = Annotated[Integer, Field(gt=0, le=2**16)]
Layers = Annotated[Integer, Field(gt=0, le=1024)]
Threads = Annotated[Integer, Field(gt=0, le=1024)]
Steps = Annotated[Integer, Field(gt=0, le=2**20)]
Pixels = Annotated[Integer, Field(gt=0, le=2**14)]
Stacks = Annotated[Integer, Field(gt=0, le=1024)]
EvaluationSeeds = Annotated[Integer, Field(gt=0, le=1_000_000)]
# Generators take seeds of 64 bits with a sign.
Seed = Annotated[Integer, Field(le=2**63 - 1)]
EpisodeSeed = Annotated[Integer, Field(ge=0, le=2**63 - 1)]
Real = Annotated[float, Strict()]
# Smaller ones are 0 beside float32's numbers.
Epsilon = Annotated[Real, Field(ge=1e-30)]
PositiveReal = Annotated[Real, Field(gt=0.0)]
NotNegativeReal = Annotated[Real, Field(ge=0.0)]
Seeds = Annotated[list[EpisodeSeed], Field(min_length=1)]
Fraction = Annotated[Real, Field(ge=0.0, le=1.0)]
REVISION = 2
"""The version of the keys' meaning: raised when an equal config trains another network or task.

Results and checkpoints record it, so that those of an earlier meaning are not mistaken for current
ones.
"""
ADDED_KEYS: dict[str, Any] = {
    "environment.normalize_vector_obs": False,
    "environment.normalize_returns": False,
    "environment.clip_rewards": False,
    "environment.processes": "auto",
    "model.log_std_init": 0.0,
    "precision": "float32",
    "trainer.clip_value_loss": True,
    "trainer.adam_epsilon": 1.0e-8,
}
"""Keys that earlier versions of this revision did not have, and the values that they trained with.

Results and checkpoints of these versions lack them, and are those of a config with these values.
"""
WHOLE_EPISODE = -1
"""As ``memory_length``: attend to all of the episode."""


@dataclass(config=STRICT)
class EnvironmentConfig:
    """The environment and the wrappers around it."""

    type: Text = "Minigrid"
    """A type of :mod:`neroRL.environments.registry`."""
    name: Text = "MiniGrid-Empty-Random-6x6-v0"
    """Id of the environment, or the path of the executable (Unity)."""
    frame_skip: Positive = 1
    """Steps for which each action is repeated; their rewards are summed."""
    last_action_to_obs: Flag = False
    """Append the one-hot last action to the vector observation."""
    last_reward_to_obs: Flag = False
    """Append the last reward to the vector observation."""
    obs_stacks: Stacks = 1
    """Number of recent observations that are stacked."""
    grayscale: Flag = False
    """Convert RGB visual observations to grayscale."""
    resize_vis_obs: Annotated[list[Pixels], Field(min_length=2, max_length=2)] = field(
        default_factory=lambda: [84, 84]
    )
    """Width and height of visual observations, in pixels."""
    positional_encoding: Flag = False
    """Append the position in the episode, encoded as 16 numbers, to the vector observation."""
    reward_normalization: NotNegativeReal = 0
    """Largest reward, by which rewards are divided; 0 and 1 are off."""
    normalize_vector_obs: Flag = False
    """Shift and scale vector observations by their running mean and standard deviation."""
    normalize_returns: Flag = False
    """Divide rewards by the running standard deviation of discounted returns."""
    clip_rewards: Flag = False
    """Replace rewards by their signs, before returns are normalised."""
    processes: Annotated[Integer, Field(ge=0, le=1024)] | Literal["auto"] = "auto"
    """Processes that step a training's environments; 0 steps them in its own."""
    reset_params: dict[str, Any] = field(default_factory=dict)
    """Seeds and the type's own options; checked by the environment's type."""


@dataclass(config=STRICT)
class RecurrenceConfig:
    """A recurrent memory."""

    layer_type: Literal["gru", "lstm"] = "gru"
    num_layers: Layers = 1
    sequence_length: Integer = 32
    """Steps of a training sequence; 0 or less trains whole episodes."""
    hidden_state_size: Units = 128
    hidden_state_init: Literal["zero", "one", "mean", "sample", "learned"] = "zero"
    """State at the start of an episode; mean and sample use the states of the last batch."""
    reset_hidden_state: Flag = True
    """Reset the state at the start of every episode."""
    residual: Flag = False
    """Add the input of the first layer to the output of the last."""
    embed: Flag = True
    """Embed the encoder's output linearly to ``hidden_state_size`` first."""


@dataclass(config=STRICT)
class TransformerConfig:
    """An episodic transformer memory (Pleines et al. 2023)."""

    num_blocks: Layers = 1
    embed_dim: Units = 512
    num_heads: Units = 8
    memory_length: Positive | Literal[-1] = 512
    """Length of the sliding window over the episode's past, in steps; -1 is the whole episode."""
    positional_encoding: Literal["", "absolute", "learned"] = "absolute"
    add_positional_encoding_to_query: Flag = False
    """Add the encoding of the last remembered step to the query; with ``absolute`` only."""
    layer_norm: Literal["", "pre", "post"] = "pre"
    init_weights: Literal["xavier", "orthogonal", "tfixup", "kaiming"] = "xavier"
    gtrxl: Flag = False
    """Gate the residual connections (Parisotto et al. 2020)."""
    gtrxl_bias: Real = 0.0
    """Initial value of each gate's learned bias; above 0 it starts close to the identity."""
    gtrxl_swap: Flag = False


@dataclass(config=STRICT)
class ModelConfig:
    """The network and its checkpoints."""

    load_model: Flag = False
    model_path: Text = ""
    checkpoint_interval: Positive = 50
    """Updates between two checkpoints; the last update always saves one."""
    activation: Literal["elu", "leaky_relu", "relu", "swish", "gelu"] = "relu"
    vis_encoder: Literal["cnn", "rescnn", "smallimpala"] = "cnn"
    vec_encoder: Literal["linear", "none"] = "linear"
    num_vec_encoder_units: Units = 128
    hidden_layer: Literal["default"] = "default"
    num_hidden_layers: Layers = 2
    num_hidden_units: Units = 512
    log_std_init: Real = 0.0
    """Initial logarithm of the standard deviations of continuous actions."""
    # Memories, of which at most one is given; each section that may be None is one.
    recurrence: RecurrenceConfig | None = None
    transformer: TransformerConfig | None = None

    @property
    def memories(self) -> dict[str, Any]:
        """Returns the configs of the memories that are given, by their sections."""
        found = {name: getattr(self, name) for name in MEMORIES}
        return {name: config for name, config in found.items() if config is not None}

    @property
    def weights_file(self) -> Path:
        """Returns the file of the weights to load.

        Raises:
            UsageError: it starts with ``~``, and no home directory is known.
        """
        return expanded(self.model_path)


def _optional_sections(schema: type) -> dict[str, type]:
    hints = {name: get_args(hint) for name, hint in get_type_hints(schema).items()}
    return {name: types[0] for name, types in hints.items() if type(None) in types}


MEMORIES = _optional_sections(ModelConfig)
"""The dataclass of each memory, by its section of ``model``."""


@dataclass(config=STRICT)
class SeedRange:
    """A range of seeds, or seeds one by one."""

    start_seed: Annotated[EpisodeSeed, Field(alias="start-seed")] = 100000
    num_seeds: Annotated[EvaluationSeeds, Field(alias="num-seeds")] = 10
    explicit_seeds: Annotated[Seeds | None, Field(alias="explicit-seeds")] = None
    """Used instead of the range if given."""


@dataclass(config=STRICT)
class EvaluationConfig:
    """Evaluation while training. Every worker plays every seed."""

    evaluate: Flag = False
    n_workers: Workers = 3
    seeds: SeedRange | Seeds = field(default_factory=SeedRange)
    interval: Positive = 50
    """Updates between two evaluations."""

    def seed_list(self) -> list[int]:
        """Returns the seeds to play, in order."""
        if isinstance(self.seeds, list):
            return self.seeds
        if self.seeds.explicit_seeds is not None:
            return self.seeds.explicit_seeds
        return list(range(self.seeds.start_seed, self.seeds.start_seed + self.seeds.num_seeds))


@dataclass(config=STRICT)
class SamplerConfig:
    """Rollouts. The batch of an update has ``n_workers * worker_steps`` steps."""

    n_workers: Workers = 16
    worker_steps: Steps = 256


@dataclass(config=STRICT)
class ScheduleConfig:
    """A polynomial decay from ``initial`` to ``final`` over ``max_decay_steps`` updates."""

    initial: NotNegativeReal
    final: NotNegativeReal | None = None
    """None: equal to ``initial``, no decay."""
    power: PositiveReal = 1.0
    max_decay_steps: Positive | None = None
    """In updates. None: as many as are trained."""


def _schedule(initial: float) -> Any:
    return field(default_factory=lambda: ScheduleConfig(initial=initial))


@dataclass(config=STRICT)
class TrainerConfig:
    """Proximal policy optimisation (Schulman et al. 2017)."""

    algorithm: Literal["PPO"] = "PPO"
    resume_at: NotNegative = 0
    """First update to count from, also in the schedules."""
    gamma: Fraction = 0.99
    lamda: Fraction = 0.95
    """Lambda of generalised advantage estimation (Schulman et al. 2016)."""
    updates: Positive = 1000
    epochs: Positive = 4
    n_mini_batches: Positive = 4
    advantage_normalization: Literal["minibatch", "batch", "no"] = "minibatch"
    value_coefficient: NotNegativeReal = 0.25
    clip_value_loss: Flag = True
    """Bound the change of a value in an update by ``clip_range_schedule``, too."""
    max_grad_norm: PositiveReal = 0.5
    adam_epsilon: Epsilon = 1.0e-8
    gradient_norms: Flag = False
    """Record the norm of each module's gradient, which takes time."""
    bootstrap_truncated: Flag = True
    """Bootstrap from the last value when a time limit cuts an episode."""
    learning_rate_schedule: ScheduleConfig = _schedule(3.0e-4)
    beta_schedule: ScheduleConfig = _schedule(0.001)
    """Coefficient of the entropy bonus."""
    clip_range_schedule: ScheduleConfig = _schedule(0.2)


@dataclass(config=STRICT)
class Config:
    """The complete config of one training."""

    environment: EnvironmentConfig = field(default_factory=EnvironmentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    seed: Seed = -1
    """Below 0: drawn at the start and recorded."""
    worker_id: NotNegative = 2
    """Offset of the network ports of Unity environments."""
    run_id: Annotated[Text, Field(min_length=1)] = "default"
    """Names the run's directory and its checkpoints."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Threads | Literal["auto"] = "auto"
    """Torch threads of a training; equal numbers give equal results bit for bit."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Of matrix products and convolutions; ``auto`` measures what is faster, and records it."""
    loggers: list[Literal["wandb", "mlflow"]] = field(default_factory=list)
    """Loggers beside TensorBoard, each an optional package."""

    @property
    def mini_batch_size(self) -> int:
        """The steps of a mini batch; the batch is divisible by their number."""
        return self.sampler.n_workers * self.sampler.worker_steps // self.trainer.n_mini_batches
