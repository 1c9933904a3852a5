"""Which job of a sweep a composed config is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from neroRL.composition.overrides import override_key, override_value
from neroRL.records.sweep_record import trial_id


@dataclass(frozen=True)
class Identity:
    """The place of a job in its sweep.

    Attributes:
        directory: of the job.
        shown_directory: relative to the sweep's.
        permutation: number of the grid point; 0 for a single training.
        repetition: from 0.
        swept: the swept keys and their values; of a choice that is a map, the map as it was given.
        shown_as_text: swept keys that are text in TensorBoard.
        trial: TensorBoard's name of the permutation, unique to the sweep.
        rung: share of the updates after which a race stops the job for now, if any.
        sweep: the ``id`` of the sweep; empty if it is none of neroRL's.
        edition: of the sweep that a launcher was given the job of, if it was.
        in_sweep: whether it is a job of a sweep; else a training of its own.
    """

    directory: Path
    shown_directory: str
    permutation: int
    repetition: int
    swept: Mapping[str, Any]
    shown_as_text: Sequence[str] = ()
    trial: str = ""
    rung: float | None = None
    sweep: str = ""
    edition: int | None = None
    in_sweep: bool = True


def identity_of(composed: DictConfig) -> Identity:
    """Returns the place of a job, of a sweep by neroRL or another sweeper, or of a training."""
    hydra = HydraConfig.get()
    directory = Path(hydra.runtime.output_dir)
    if hydra.mode != RunMode.MULTIRUN:
        return Identity(directory, ".", 0, 0, {}, in_sweep=False)
    node = hydra.sweeper.get("job")
    known: Any = {} if node is None else OmegaConf.to_container(node)  # quicker than node by node
    permutation, repetition = known.get("permutation", -1), known.get("repetition", 0)
    if permutation >= 0:  # swept by neroRL
        swept = _swept(composed, known["keys"])
        if "seed" in swept:  # the choice plus the repetition
            swept["seed"] -= repetition
        trial = trial_id(known["sweep"], permutation)
        return Identity(
            directory,
            f"{permutation}/{repetition}",
            permutation,
            repetition,
            swept,
            known["shown_as_text"],
            trial,
            known["rung"],
            known["sweep"],
            known.get("edition"),
        )
    keys = [override_key(text) for text in hydra.overrides.task]
    number = int(hydra.job.num)
    trial = trial_id(str(hydra.sweep.dir), number)
    shown = str(hydra.sweep.subdir)
    return Identity(directory, shown, number, 0, _swept(composed, keys), trial=trial)


def _swept(composed: DictConfig, keys: list[str]) -> dict[str, Any]:
    hydra = HydraConfig.get()
    choices = hydra.runtime.choices
    given = {override_key(text): text for text in hydra.overrides.task}
    swept = {}
    for key in keys:
        # In the composed config, a map is merged into what it changes, and a group that it changes
        # still has the name of what was chosen before.
        if given.get(key, "").partition("=")[2].startswith("{"):
            value = override_value(given[key])
        else:
            value = choices.get(key) if key in choices else OmegaConf.select(composed, key)
        swept[key] = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    return swept
