"""The documented flags of ``ntune`` and ``ntrain``, translated to Hydra's arguments."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from neroRL.composition.overrides import override_key, plain_text
from neroRL.composition.paths import find_config
from neroRL.config.checks import run_id_problem
from neroRL.errors import UsageError, did_you_mean, shortened
from neroRL.files import expanded, is_file
from neroRL.records.exits import Exit

TUNE_EPILOG = """\
Everything after the flags is passed to Hydra: overrides and sweeps of any key
(trainer.updates=20, trainer.gamma=0.9,0.99), the launcher (hydra/launcher=joblib), the
sweeper's options (hydra.sweeper.on_invalid=skip), and --cfg job for a dry run."""


class _Parser(argparse.ArgumentParser):
    """Suggests the nearest flag for one it does not know."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        print(f"error: {message}", file=sys.stderr)
        raise SystemExit(Exit.BAD_INPUT)

    def parse(self, arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
        """Returns the flags, and the arguments for Hydra."""
        parsed, passed = self.parse_known_args(list(arguments))
        hydra_flags = [text for text in passed if text.startswith("-")]
        known = [option for action in self._actions for option in action.option_strings]
        for flag in hydra_flags:
            name = flag.split("=", 1)[0]
            if name not in ("--cfg", "-c", "--resolve", "--package", "-p"):
                self.error(f"unknown flag {name}{did_you_mean(name, known)}")
        return parsed, passed


def tune_arguments(arguments: Sequence[str]) -> list[str]:
    """Translates the command line of ``ntune``.

    Args:
        arguments: without the program's name.

    Returns:
        The arguments of ``python train.py``.

    Raises:
        SystemExit: with status 2 for a flag or a value that cannot be used, 0 for ``--help``.
    """
    parser = _Parser(
        prog="ntune",
        usage="ntune [options] [overrides]\n       ntune --help",
        description="Tunes hyperparameters by grid search.",
        epilog=TUNE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = _adder(parser)
    add("--config", "<path>", "path to the config file", "./configs/default.yaml")
    add(
        "--tune",
        "<path>",
        "path to the config file that features the hyperparameter search space for tuning",
        "./configs/tune/example.yaml",
    )
    add("--num-repetitions", "<n>", "how often to repeat the training of one config", 1, _positive)
    add("--worker-id", "<n>", "sets the port for each environment instance", 2, _not_negative)
    add("--run-id", "<path>", "the tag of the TensorBoard summaries", "default", _run_id)
    add("--out", "<path>", "where to output the generated config files", "./grid_search/", _path)
    parser.add_argument(
        "--generate-only",
        action="store_true",
        help="whether to only generate the config files [default: False]",
    )
    parser.add_argument(
        "--preview",
        action="store_true",
        help="whether to only tell what the sweep would cost, from a few updates [default: False]",
    )
    flags, passed = parser.parse(arguments)
    root = flags.out.resolve()
    if not (root / flags.run_id).resolve().is_relative_to(root):
        parser.error(f"argument --run-id: {flags.run_id} is a link that leaves {flags.out}")
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
    return ["-m", *_config(parser, flags.config), *_overrides(own, passed), *passed]


def _is_all_default(arguments: Sequence[str]) -> bool:
    """Returns whether neither a base config nor a tuning file is named."""
    named = {text.split("=", 1)[0] for text in arguments}
    return named.isdisjoint(("--config", "--tune", "--cfg", "-c", "--generate-only"))


def train_arguments(arguments: Sequence[str]) -> tuple[list[str], Path | None]:
    """Translates the command line of ``ntrain``.

    Args:
        arguments: without the program's name.

    Returns:
        The arguments of ``python train.py``, and the checkpoint to continue from.

    Raises:
        SystemExit: with status 2 for a flag or a value that cannot be used, 0 for ``--help``.
    """
    parser = _Parser(
        prog="ntrain",
        usage="ntrain [options] [overrides]\n       ntrain --help",
        description="Trains one policy with PPO.",
        epilog="Flags without a default leave what the config says. "
        "Everything after the flags is passed to Hydra, e.g. trainer.gamma=0.95.",
        allow_abbrev=False,
    )
    add = _adder(parser)
    add("--config", "<path>", "path to the config file", "./configs/default.yaml")
    add("--worker-id", "<n>", "sets the port for each environment instance", None, _not_negative)
    add("--run-id", "<path>", "the tag of the TensorBoard summaries", None, _run_id)
    add("--out", "<path>", "trains in a new directory below <out>/<run-id>", "./runs/", _path)
    add("--seed", "<n>", "of everything random; below 0 one is drawn", None, _integer)
    add("--checkpoint", "<path>", "continues the training of a checkpoint", None, _path)
    add("--num-updates", "<n>", "how many updates to train", None, _positive)
    flags, passed = parser.parse(arguments)
    checkpoint = flags.checkpoint.absolute() if flags.checkpoint is not None else None
    if checkpoint is not None and not is_file(checkpoint):
        told = shortened(f"{flags.checkpoint} ({checkpoint})")
        parser.error(f"argument --checkpoint: {told} is no file")
    own = {
        "run_id": flags.run_id,
        "worker_id": flags.worker_id,
        "seed": flags.seed,
        "trainer.updates": flags.num_updates,
        "hydra.run.dir": str(flags.out / "${run_id}/${now:%Y-%m-%d_%H-%M-%S}"),
    }
    given = {key: value for key, value in own.items() if value is not None}
    return [*_config(parser, flags.config), *_overrides(given, passed), *passed], checkpoint


def equivalent_command(arguments: Sequence[str]) -> str:
    """Returns the equivalent ``python train.py`` line."""
    return f"python train.py {shlex.join(arguments)}"


def _adder(parser: argparse.ArgumentParser) -> Callable[..., None]:
    def add(
        flag: str,
        metavar: str,
        text: str,
        default: object,
        kind: Callable[[str], object] = str,
    ) -> None:
        shown = f"{text} [default: {default}]" if default is not None else text
        parser.add_argument(flag, metavar=metavar, help=shown, default=default, type=kind)

    return add


def _config(parser: _Parser, name: str) -> list[str]:
    try:
        path = find_config(name).resolve()
    except UsageError as error:
        parser.error(f"argument --config: {error}")
    return [f"--config-path={path.parent}", f"--config-name={path.name}"]


def _overrides(own: dict[str, object], passed: Sequence[str]) -> list[str]:
    """Returns the overrides of the flags; one given after them replaces a flag's."""
    given = {override_key(text) for text in passed}
    return [f"{key}={plain_text(value)}" for key, value in own.items() if key not in given]


def _path(text: str) -> Path:
    try:
        return expanded(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no integer") from None


def _positive(text: str) -> int:
    if _integer(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not allowed; expected 1 or more")
    return int(text)


def _not_negative(text: str) -> int:
    if _integer(text) < 0:
        raise argparse.ArgumentTypeError(f"{text} is not allowed; expected 0 or more")
    return int(text)


def _run_id(text: str) -> str:
    problem = run_id_problem(text)
    if problem:
        raise argparse.ArgumentTypeError(problem)
    return text
