"""What parameters of other tools are called here, for hints beside unknown keys."""

from __future__ import annotations

from dataclasses import dataclass

SB3, RLLIB, CLEANRL = "Stable-Baselines3", "RLlib", "CleanRL"
_BATCH = "n_workers * worker_steps"
_MINI_BATCH = f": a mini batch has {_BATCH} / n_mini_batches steps"
_LEARNING_RATE = ("trainer.learning_rate_schedule.initial",)
_ENTROPY = ("trainer.beta_schedule.initial",)
_CLIP = ("trainer.clip_range_schedule.initial",)
_CLIP_VALUE_LOSS = ("trainer.clip_value_loss",)
_BY_THE_CLIP_RANGE = ": true clips changes of the value by clip_range_schedule, false does not clip"
_NO_ADAPTIVE_KL = "updates are bounded by clip_range_schedule and epochs alone"
_ONE_MEMORY = "policy and value share one memory"


@dataclass(frozen=True)
class Counterpart:
    """A parameter of another tool.

    Attributes:
        tool: whose it is.
        keys: dotted paths and config groups that take its place; empty if it has none here.
        note: what else there is to know, to be read after the keys.
    """

    tool: str
    keys: tuple[str, ...] = ()
    note: str = ""


COUNTERPARTS = {
    "lr": Counterpart(RLLIB, _LEARNING_RATE),
    "learning_rate": Counterpart(SB3, _LEARNING_RATE),
    "lr_schedule": Counterpart(RLLIB, ("trainer.learning_rate_schedule",)),
    "anneal_lr": Counterpart(
        CLEANRL, ("trainer.learning_rate_schedule.final",), ": 0 anneals to zero"
    ),
    "n_steps": Counterpart(SB3, ("sampler.worker_steps",)),
    "num_steps": Counterpart(CLEANRL, ("sampler.worker_steps",)),
    "rollout_fragment_length": Counterpart(RLLIB, ("sampler.worker_steps",)),
    "n_envs": Counterpart(SB3, ("sampler.n_workers",)),
    "num_envs": Counterpart(CLEANRL, ("sampler.n_workers",)),
    "num_rollout_workers": Counterpart(RLLIB, ("sampler.n_workers",)),
    "num_env_runners": Counterpart(RLLIB, ("sampler.n_workers",)),
    "batch_size": Counterpart(SB3, ("trainer.n_mini_batches",), _MINI_BATCH),
    "sgd_minibatch_size": Counterpart(RLLIB, ("trainer.n_mini_batches",), _MINI_BATCH),
    "minibatch_size": Counterpart(RLLIB, ("trainer.n_mini_batches",), _MINI_BATCH),
    "num_minibatches": Counterpart(CLEANRL, ("trainer.n_mini_batches",)),
    "train_batch_size": Counterpart(
        RLLIB, ("sampler.n_workers", "sampler.worker_steps"), f": a batch has {_BATCH} steps"
    ),
    "n_epochs": Counterpart(SB3, ("trainer.epochs",)),
    "num_sgd_iter": Counterpart(RLLIB, ("trainer.epochs",)),
    "num_epochs": Counterpart(RLLIB, ("trainer.epochs",)),
    "update_epochs": Counterpart(CLEANRL, ("trainer.epochs",)),
    "total_timesteps": Counterpart(
        SB3, ("trainer.updates",), f": an update has {_BATCH} steps of the environment"
    ),
    "n_timesteps": Counterpart(
        SB3, ("trainer.updates",), f": an update has {_BATCH} steps of the environment"
    ),
    "gae_lambda": Counterpart(SB3, ("trainer.lamda",)),
    "lambda": Counterpart(RLLIB, ("trainer.lamda",)),
    "lambda_": Counterpart(RLLIB, ("trainer.lamda",)),
    "clip_range": Counterpart(SB3, _CLIP),
    "clip_param": Counterpart(RLLIB, _CLIP),
    "clip_coef": Counterpart(CLEANRL, _CLIP),
    "ent_coef": Counterpart(SB3, _ENTROPY),
    "entropy_coeff": Counterpart(RLLIB, _ENTROPY),
    "vf_coef": Counterpart(
        SB3, ("trainer.value_coefficient",), "; CleanRL's number counts half as much"
    ),
    "clip_range_vf": Counterpart(SB3, _CLIP_VALUE_LOSS, _BY_THE_CLIP_RANGE),
    "vf_clip_param": Counterpart(
        RLLIB, _CLIP_VALUE_LOSS, _BY_THE_CLIP_RANGE + "; RLlib bounds the squared error"
    ),
    "clip_vloss": Counterpart(CLEANRL, _CLIP_VALUE_LOSS),
    "vf_loss_coeff": Counterpart(RLLIB, ("trainer.value_coefficient",)),
    "grad_clip": Counterpart(RLLIB, ("trainer.max_grad_norm",)),
    "normalize_advantage": Counterpart(SB3, ("trainer.advantage_normalization",)),
    "norm_adv": Counterpart(CLEANRL, ("trainer.advantage_normalization",)),
    "target_kl": Counterpart(SB3, note=_NO_ADAPTIVE_KL),
    "kl_coeff": Counterpart(RLLIB, note=_NO_ADAPTIVE_KL),
    "kl_target": Counterpart(RLLIB, note=_NO_ADAPTIVE_KL),
    "net_arch": Counterpart(SB3, ("model.num_hidden_layers", "model.num_hidden_units")),
    "fcnet_hiddens": Counterpart(RLLIB, ("model.num_hidden_layers", "model.num_hidden_units")),
    "activation_fn": Counterpart(SB3, ("model.activation",)),
    "fcnet_activation": Counterpart(RLLIB, ("model.activation",)),
    "features_dim": Counterpart(
        SB3, note="the encoder's output goes straight into layers of model.num_hidden_units"
    ),
    "lstm_hidden_size": Counterpart(SB3, ("model.recurrence.hidden_state_size",)),
    "lstm_cell_size": Counterpart(RLLIB, ("model.recurrence.hidden_state_size",)),
    "n_lstm_layers": Counterpart(SB3, ("model.recurrence.num_layers",)),
    "max_seq_len": Counterpart(RLLIB, ("model.recurrence.sequence_length",)),
    "use_lstm": Counterpart(RLLIB, ("model/memory",), ": model/memory=lstm"),
    "shared_lstm": Counterpart(SB3, note=_ONE_MEMORY),
    "enable_critic_lstm": Counterpart(SB3, note=_ONE_MEMORY),
    "use_sde": Counterpart(SB3, note="noise is drawn anew in every step"),
    "env_id": Counterpart(CLEANRL, ("environment.name",)),
    "env": Counterpart(SB3, ("environment.name",)),
    "norm_obs": Counterpart(SB3, ("environment.normalize_vector_obs",)),
    "norm_reward": Counterpart(SB3, ("environment.normalize_returns",)),
    "normalize": Counterpart(
        SB3, ("environment.normalize_vector_obs", "environment.normalize_returns")
    ),
    "frame_stack": Counterpart(SB3, ("environment.obs_stacks",)),
}


def counterpart(name: str) -> str | None:
    """Returns a sentence that says what a parameter of another tool is called here.

    Args:
        name: of an unknown key, with or without the sections before it.

    Returns:
        None for a name that no other tool is known to use.

    >>> counterpart("trainer.n_steps")
    "Stable-Baselines3's n_steps is sampler.worker_steps here"
    >>> counterpart("target_kl")
    "Stable-Baselines3's target_kl has no counterpart here; updates are bounded by \
clip_range_schedule and epochs alone"
    """
    last = name.rpartition(".")[2]
    known = COUNTERPARTS.get(last.replace("-", "_"))
    if known is None:
        return None
    if not known.keys:
        return f"{known.tool}'s {last} has no counterpart here; {known.note}"
    return f"{known.tool}'s {last} is {' and '.join(known.keys)} here{known.note}"


def counterpart_hint(name: str) -> str:
    """Returns the same as the end of a message, or ``""``."""
    told = counterpart(name)
    return f"; {told}" if told else ""
