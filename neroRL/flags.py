"""The documented flags of ``ntune`` and ``ntrain``, translated to Hydra's arguments."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neroRL.arguments import (
    CFG,
    HELPING,
    SHOWING,
    Parser,
    a_path,
    a_positive,
    a_run_id,
    an_integer,
    name_of,
    not_negative,
)
from neroRL.composition.overrides import override_key, plain_text
from neroRL.composition.paths import find_config
from neroRL.errors import UsageError
from neroRL.files import is_file
from neroRL.texts import shortened
from neroRL.training.manner import Manner

TUNE_EPILOG = """\
Everything after the flags is passed to Hydra: overrides and sweeps of any key
(trainer.updates=20, trainer.gamma=0.9,0.99), the launcher (hydra/launcher=joblib), the
sweeper's options (hydra.sweeper.on_invalid=skip), --cfg job for a dry run, and Hydra's
other flags (--info, --hydra-help, --config-dir, ...); --config-path and --config-name
take the place of --config."""
# Hydra's flags for the base config, which say what --config says.
_NAMING = ("--config-path", "-cp", "--config-name", "-cn")
TRAIN_EPILOG = """\
Flags without a default leave what the config says. Everything after the flags is passed to Hydra,
e.g. trainer.gamma=0.95."""


def tune_arguments(arguments: Sequence[str]) -> list[str]:
    """Translates the command line of ``ntune``.

    Args:
        arguments: without the program's name.

    Returns:
        The arguments of ``python train.py``.

    Raises:
        SystemExit: with status 2 for a flag or a value that cannot be used, 0 for ``--help``.
    """
    description = "Tunes hyperparameters by grid search."
    parser = Parser("ntune", "[options] [overrides]", description, TUNE_EPILOG)
    parser.flag("--config", "<path>", "path to the config file", "./configs/default.yaml")
    parser.flag(
        "--tune",
        "<path>",
        "path to the config file that features the hyperparameter search space for tuning",
        "./configs/tune/example.yaml",
    )
    repetitions = "how often to repeat the training of one config"
    parser.flag("--num-repetitions", "<n>", repetitions, 1, a_positive)
    worker_id = "sets the port for each environment instance"
    parser.flag("--worker-id", "<n>", worker_id, 2, not_negative)
    parser.flag("--run-id", "<path>", "the tag of the TensorBoard summaries", "default", a_run_id)
    out = "where to output the generated config files"
    parser.flag("--out", "<path>", out, "./grid_search/", a_path)
    parser.switch("--generate-only", "whether to only generate the config files")
    preview = "whether to only tell what the sweep would cost, from a few updates"
    parser.switch("--preview", preview)
    flags, passed = parser.parse(arguments, (*_NAMING, "--multirun", "-m"))
    given = {name_of(text) for text in arguments}
    if "--config" in given and given.intersection(_NAMING):
        parser.error("argument --config: give it, or --config-path and --config-name, not both")
    _check_tune_flags(parser, flags)
    # Configs go to --out itself, jobs to a directory of the run-id below it.
    directory = str(flags.out if flags.generate_only else flags.out / flags.run_id)
    own = {
        "hydra.sweeper.tune": flags.tune,
        "hydra.sweeper.num_repetitions": flags.num_repetitions,
        "hydra.sweep.dir": directory,
        "run_id": flags.run_id,
        "worker_id": flags.worker_id,
    }
    if flags.generate_only:
        own["hydra.sweeper.generate_only"] = True
    if flags.preview:
        own["hydra.sweeper.preview"] = "only"
    elif _is_all_default(arguments) and sys.stderr.isatty():
        own["hydra.sweeper.preview"] = "first"  # say what starts, and how long it takes
    # Hydra shows one thing at a time, and would not run a sweep beside it.
    mode = ["-m"] if given.isdisjoint(SHOWING) else []
    base = _of_config(_file(parser, flags.config)) if given.isdisjoint(_NAMING) else []
    # What Hydra shows about itself, it shows without the sweeper that knows these keys.
    added = _overrides(own, passed) if given.isdisjoint(HELPING) else []
    return [*mode, *base, *added, *passed]


def _check_tune_flags(parser: Parser, flags: argparse.Namespace) -> None:
    """Refuses flags that contradict each other or the file system."""
    if flags.generate_only and flags.preview:
        parser.error("--generate-only writes configs, --preview leaves nothing: give one of them")
    root = flags.out.resolve()
    if not (root / flags.run_id).resolve().is_relative_to(root):
        parser.error(f"argument --run-id: {flags.run_id} is a link that leaves {flags.out}")


def _is_all_default(arguments: Sequence[str]) -> bool:
    """Returns whether neither a base config nor a tuning file is named."""
    named = {name_of(text) for text in arguments}
    return named.isdisjoint(("--config", "--tune", *CFG, *SHOWING, *_NAMING, "--generate-only"))


@dataclass(frozen=True)
class TrainFlags:
    """The command line of ``ntrain``.

    Attributes:
        config: file of the base config; None without ``--config``.
        overrides: for Hydra, those of the flags first.
        checkpoint: to continue from.
        num_updates: the value of its flag, if it counts.
        manner: how the training computes.
    """

    config: Path | None
    overrides: Sequence[str]
    checkpoint: Path | None
    num_updates: int | None
    manner: Manner

    def arguments(self, config: Path, updates: int | None) -> list[str]:
        """Returns the arguments of ``python train.py``.

        Args:
            config: file of the base config.
            updates: to train in all; None leaves it to the config.
        """
        given = [] if updates is None else [f"trainer.updates={updates}"]
        return [*_of_config(config), *given, *self.overrides]


def train_flags(arguments: Sequence[str]) -> TrainFlags:
    """Reads the command line of ``ntrain``.

    Args:
        arguments: without the program's name.

    Raises:
        SystemExit: with status 2 for a flag or a value that cannot be used, 0 for ``--help``.
    """
    description = "Trains one policy with PPO."
    parser = Parser("ntrain", "[options] [overrides]", description, TRAIN_EPILOG)
    config = "path to the config file [default: ./configs/default.yaml, or the checkpoint's]"
    parser.flag("--config", "<path>", config)
    worker_id = "sets the port for each environment instance"
    parser.flag("--worker-id", "<n>", worker_id, kind=not_negative)
    parser.flag("--run-id", "<path>", "the tag of the TensorBoard summaries", kind=a_run_id)
    out = "trains in a new directory below <out>/<run-id>"
    parser.flag("--out", "<path>", out, "./runs/", a_path)
    parser.flag("--seed", "<n>", "of everything random; below 0 one is drawn", kind=an_integer)
    continues = "continues the training of a checkpoint"
    parser.flag("--checkpoint", "<path>", continues, kind=a_path)
    updates = "how many updates to train; with --checkpoint, how many more"
    parser.flag("--num-updates", "<n>", updates, kind=a_positive)
    parser.switch("--compile", "whether to compile the network's layers")
    low_memory = "whether a GPU gets observations mini batch by mini batch, to save its memory"
    parser.switch("--low-mem", low_memory)
    flags, passed = parser.parse(arguments)
    checkpoint = flags.checkpoint.absolute() if flags.checkpoint is not None else None
    if checkpoint is not None and not is_file(checkpoint):
        told = shortened(f"{flags.checkpoint} ({checkpoint})")
        parser.error(f"argument --checkpoint: {told} is no file")
    own = {
        "run_id": flags.run_id,
        "worker_id": flags.worker_id,
        "seed": flags.seed,
        "hydra.run.dir": str(flags.out / "${run_id}/${now:%Y-%m-%d_%H-%M-%S}"),
    }
    given = {key: value for key, value in own.items() if value is not None}
    overridden = "trainer.updates" in map(override_key, passed)
    name = flags.config or ("./configs/default.yaml" if checkpoint is None else None)
    return TrainFlags(
        None if name is None else _file(parser, name),
        [*_overrides(given, passed), *passed],
        checkpoint,
        None if overridden else flags.num_updates,
        Manner(flags.compile, flags.low_mem),
    )


def equivalent_command(arguments: Sequence[str]) -> str:
    """Returns the equivalent ``python train.py`` line."""
    return f"python train.py {shlex.join(arguments)}"


def _file(parser: Parser, name: str) -> Path:
    try:
        return find_config(name)
    except UsageError as error:
        parser.error(f"argument --config: {error}")


def _of_config(path: Path) -> list[str]:
    return [f"--config-path={path.parent}", f"--config-name={path.name}"]


def _overrides(own: dict[str, object], passed: Sequence[str]) -> list[str]:
    """Returns the overrides of the flags; one given after them replaces a flag's."""
    given = {override_key(text) for text in passed}
    return [f"{key}={plain_text(value)}" for key, value in own.items() if key not in given]
