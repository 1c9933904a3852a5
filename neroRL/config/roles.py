"""What config keys are for: which of them change a training, and which may as it goes on."""

from __future__ import annotations

# The names of a training, where it runs and where it reports to.
PLACE = ("run_id", "worker_id", "device", "threads", "loggers", "environment.processes")
# What trains the same with any value: the places, and what a training saves and records.
WITHOUT_EFFECT = (*PLACE, "model.checkpoint_interval", "trainer.gradient_norms")
# The environment, network and batch stay as they are when a training goes on, except the weights
# that it once began with.
_FIXED = ("environment.", "model.", "sampler.", "trainer.resume_at")
_BEGINNING = ("model.load_model", "model.model_path")


def is_fixed(key: str) -> bool:
    """Returns whether a key, by its dotted path, keeps its value as long as a training lasts."""
    return key.startswith(_FIXED) and key not in (*WITHOUT_EFFECT, *_BEGINNING)
