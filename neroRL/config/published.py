"""Maps keys of the original's published configs, of all its versions, to today's keys.

Some have another name here, some ask for what neroRL always does, and some are not available.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable
from typing import Any

from neroRL.config.documents import Document
from neroRL.errors import ConfigError, Problem

Keys = tuple[str, ...]

_MOVED: dict[Keys, Keys] = {
    ("environment", "positional_endocing"): ("environment", "positional_encoding"),
    ("model", "encoder"): ("model", "vis_encoder"),
    ("model", "vec_encoder_layer"): ("model", "vec_encoder"),
    ("model", "preprocessing_layer"): ("model", "vec_encoder"),
    ("model", "num_preprocessing_units"): ("model", "num_vec_encoder_units"),
    ("model", "transformer", "num_layers"): ("model", "transformer", "num_blocks"),
    ("model", "transformer", "layer_size"): ("model", "transformer", "embed_dim"),
    ("trainer", "n_workers"): ("sampler", "n_workers"),
    ("trainer", "worker_steps"): ("sampler", "worker_steps"),
    ("trainer", "n_mini_batch"): ("trainer", "n_mini_batches"),
}

# Choices that have another name: key, old name, new name.
_RENAMED_CHOICES: list[tuple[Keys, str, str]] = [
    (("model", "transformer", "positional_encoding"), "relative", "absolute"),
]

# Keys that ask for what neroRL always does, with the one value that does.
_DONE_ANYWAY: dict[Keys, object] = {
    ("environment", "obs_normalization"): False,
    ("model", "actor_residual"): False,
    ("model", "critic_residual"): False,
    ("model", "pi_estimate_advantages"): False,
    ("model", "recurrence", "fake_recurrence"): False,
    ("model", "residual"): False,
    ("model", "share_parameters"): True,
    ("model", "use_helm"): False,
    ("sampler", "type"): "TrajectorySampler",
    ("trainer", "fake_recurrence"): False,
    ("trainer", "refresh_buffer_epoch"): -1,
    ("trainer", "share_parameters"): True,
}

# Keys that the last version of the original no longer reads, and what neroRL does.
_WITHOUT_EFFECT: dict[Keys, str] = {
    ("model", "transformer", "share_heads"): "every head has projections of its own",
}

# Keys and choices of the original that are not available here.
_NOT_HERE: dict[Keys, str] = {
    ("environment", "spotlight_perturbation"): "perturbing images by spotlights",
    ("model", "ground_truth_estimator"): "estimating the ground truth",
    ("model", "helm"): "HELM",
    ("model", "helmv1"): "HELM",
    ("model", "helmv2"): "HELM",
    ("model", "modalities"): "an encoder for each modality",
    ("model", "obs_decoder"): "the decoder of observations",
    ("model", "transformer", "layer_type"): "choosing another transformer",
    ("trainer", "DAAC"): "the advantage head of DAAC",
    ("trainer", "ground_truth_estimator_schedule"): "estimating the ground truth",
    ("trainer", "obs_reconstruction_schedule"): "the decoder of observations",
}
_ALGORITHMS_NOT_HERE = ("DecoderTrainer", "DecoupledPPO", "GroundTruthTrainer")

# What ``use_recurrent`` of the first version trained: a GRU behind the encoder, from the stored
# state of each step, never reset.
_FIRST_RECURRENCE = {
    "layer_type": "gru",
    "sequence_length": 1,
    "reset_hidden_state": False,
    "embed": False,
}
_FIRST_HIDDEN_STATE_SIZE = 512


def modernise(document: Document) -> tuple[dict[str, Any], list[Problem]]:
    """Maps the keys of older versions to today's.

    Args:
        document: a base config whose top level is a map.

    Returns:
        The content with today's keys, and a warning for every key that was mapped or dropped.

    Raises:
        ConfigError: a key asks for something of the original that is not available here.
    """
    changed = _Changed(document)
    changed.refuse_what_is_not_here()
    changed.map_the_first_recurrence()
    changed.move_keys()
    changed.rename_choices()
    changed.drop_what_is_done_anyway()
    if changed.errors:
        raise ConfigError(changed.errors)
    return changed.data, changed.warnings


def written_as(document: Document, keys: tuple[Hashable, ...]) -> tuple[Hashable, ...]:
    """Returns the keys under which a document gives what today's keys name."""
    if keys in document.lines:
        return keys
    return next((old for old, new in _MOVED.items() if new == keys and old in document.lines), keys)


class _Changed:
    """The content of a config on its way to today's keys.

    Args:
        document: as it was written.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self.data: dict[str, Any] = copy.deepcopy(document.data)
        self.warnings: list[Problem] = []
        self.errors: list[Problem] = []

    def refuse_what_is_not_here(self) -> None:
        """Reports features of the original that are not available here."""
        for keys, what in _NOT_HERE.items():
            if self._holder(keys) is not None:
                self._refuse(keys, f"{what} is not available here")
        keys = ("trainer", "algorithm")
        section = self._holder(keys)
        if section is not None and section["algorithm"] in _ALGORITHMS_NOT_HERE:
            self._refuse(keys, f"{section['algorithm']} is not available here; only PPO is")

    def map_the_first_recurrence(self) -> None:
        """Writes ``use_recurrent`` and ``hidden_state_size`` of a model as a recurrence."""
        keys = ("model", "use_recurrent")
        model = self._holder(keys)
        if model is None:
            return
        wanted = model.pop("use_recurrent")
        size = model.pop("hidden_state_size", _FIRST_HIDDEN_STATE_SIZE)
        if not isinstance(wanted, bool):
            self._refuse(keys, f"{wanted!r} is not allowed; expected true or false")
        elif "recurrence" in model:
            if wanted:
                self._warn(keys, "is told by recurrence; ignored")
            else:
                self._refuse(keys, "is False, but there is a recurrence; remove one of them")
        elif wanted:
            model["recurrence"] = {**_FIRST_RECURRENCE, "hidden_state_size": size}
            shown = ", ".join(f"{key}: {value}" for key, value in model["recurrence"].items())
            self._warn(keys, f"is written as recurrence now; taken as {{{shown}}}")
        else:
            self._warn(keys, "is what is done without a recurrence; ignored")

    def move_keys(self) -> None:
        """Gives keys their names and places of today."""
        for old, new in _MOVED.items():
            section = self._holder(old)
            if section is None:
                continue
            target: Any = self.data
            for key in new[:-1]:
                target = target.setdefault(key, {}) if isinstance(target, dict) else None
            name = new[-1] if old[:-1] == new[:-1] else ".".join(new)
            if not isinstance(target, dict):
                self._refuse(old, f"is called {name} now, and {'.'.join(new[:-1])} is no map")
            elif new[-1] in target:
                self._refuse(old, f"is the old name of {name}, also given")
            else:
                target[new[-1]] = section.pop(old[-1])
                self._warn(old, f"is called {name} now; taken as that")

    def rename_choices(self) -> None:
        """Gives choices their names of today."""
        for keys, old, new in _RENAMED_CHOICES:
            section = self._holder(keys)
            if section is not None and section[keys[-1]] == old:
                section[keys[-1]] = new
                self._warn(keys, f"{old} is called {new} now; taken as that")

    def drop_what_is_done_anyway(self) -> None:
        """Drops keys that ask for what is done anyway, and refuses the same keys otherwise."""
        for keys, done in _DONE_ANYWAY.items():
            section = self._holder(keys)
            if section is None:
                continue
            value = section.pop(keys[-1])
            if type(value) is type(done) and value == done:
                self._warn(keys, f"{value} is what is always done; ignored")
            else:
                self._refuse(
                    keys, f"{value!r} is not available; only {done!r} is, and needs no key"
                )
        for keys, done_instead in _WITHOUT_EFFECT.items():
            section = self._holder(keys)
            if section is not None:
                del section[keys[-1]]
                self._warn(keys, f"has no effect: {done_instead}")

    def _holder(self, keys: Keys) -> dict[str, Any] | None:
        """Returns the section that has a key; None if there is no such key."""
        section: Any = self.data
        for key in keys[:-1]:
            section = section.get(key) if isinstance(section, dict) else None
        return section if isinstance(section, dict) and keys[-1] in section else None

    def _warn(self, keys: Keys, message: str) -> None:
        self.warnings.append(Problem(".".join(keys), message, self._document.where(keys)))

    def _refuse(self, keys: Keys, message: str) -> None:
        self.errors.append(Problem(".".join(keys), message, self._document.where(keys)))
