"""Runs Hydra for every door: finds the primary config, checks it, and turns errors into exits."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, OverrideParseException
from hydra.types import TaskFunction
from omegaconf.errors import OmegaConfBaseException

from neroRL.composition import checking
from neroRL.composition.checking import Origin, composition_problem, plain
from neroRL.composition.loader import choices_hold
from neroRL.composition.source import (
    FileSource,
    PrimarySearchPath,
    PrimarySource,
    shipped_conf,
)
from neroRL.config.problems import leaf_paths
from neroRL.config.schema import Config
from neroRL.errors import (
    ConfigError,
    NeroRLError,
    TransientError,
    UsageError,
    described,
    did_you_mean,
)
from neroRL.files import check_place
from neroRL.records.exits import Exit

HYDRA_VERSION = "1.3"
DEFAULT_CONFIG = "default"
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT)


def run(
    arguments: Sequence[str], task: TaskFunction, check: Callable[[Config], None] | None = None
) -> int:
    """Runs one command line, as ``python train.py`` would.

    Args:
        arguments: flags and overrides of Hydra, without the program's name.
        task: called with the composed config of each job.
        check: called with the config of a single training, before anything is created.

    Returns:
        The exit status.
    """
    try:
        with _terminate_as_interrupt():
            _run(arguments, task, check)
    except TransientError as error:  # the machine's fault, met while training
        print(f"error: {described(error)}", file=sys.stderr)
        return Exit.FAILED
    except (NeroRLError, HydraException, OmegaConfBaseException) as error:
        print(f"error: {_explained(error)}", file=sys.stderr)
        return Exit.BAD_INPUT
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        print(f"error: {error}; make room and run the same command again", file=sys.stderr)
        return Exit.FAILED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return Exit.INTERRUPTED
    except SystemExit as end:
        if isinstance(end.code, int) or end.code is None:
            return end.code or Exit.WELL
        print(end.code, file=sys.stderr)
        return Exit.FAILED
    return Exit.WELL


def _run(
    arguments: Sequence[str], task: TaskFunction, check: Callable[[Config], None] | None
) -> None:
    # Flags may stand between overrides.
    args = _parsed(arguments)
    primary = _primary_file(args)
    for plugin in (FileSource, PrimarySource, PrimarySearchPath):
        Plugins.instance().register(plugin)
    PrimarySearchPath.primary = primary
    passed = _arguments_for_hydra(args, primary)
    with choices_hold():
        if not (args.multirun or _only_shows(args)):
            _check_single_run(primary, args.overrides, check)
        main = hydra.main(
            version_base=HYDRA_VERSION, config_path=str(primary.parent), config_name=primary.stem
        )
        with _hydra_environment(passed):
            main(task)()


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = get_args_parser()
    args, unknown = parser.parse_known_intermixed_args(arguments)
    if unknown:
        known = [option for action in parser._actions for option in action.option_strings]
        name = unknown[0].split("=", 1)[0]
        raise UsageError(f"unknown flag {name}{did_you_mean(name, known)}")
    return args


def _only_shows(args: argparse.Namespace) -> bool:
    shown = (args.cfg, args.info, args.help, args.hydra_help, args.shell_completion)
    return any(option not in (None, False) for option in shown)


def _primary_file(args: argparse.Namespace) -> Path:
    """Finds the file of the primary config in --config-path, --config-dir or the shipped conf."""
    name = args.config_name or DEFAULT_CONFIG
    name = name if name.endswith((".yaml", ".yml")) else f"{name}.yaml"
    directories = [Path(path) for path in (args.config_path, args.config_dir) if path]
    directories.append(shipped_conf())
    for directory in directories:
        if (directory / name).is_file():
            return (directory / name).resolve()
    searched = ", ".join(str(directory.resolve()) for directory in directories)
    known = [path.stem for directory in directories for path in directory.glob("*.yaml")]
    hint = did_you_mean(Path(name).stem, known)
    raise UsageError(f"no config {name} in {searched}{hint}")


def _arguments_for_hydra(args: argparse.Namespace, primary: Path) -> list[str]:
    """The command line for Hydra, which refuses --multirun together with --cfg."""
    passed = ["--config-path", str(primary.parent), "--config-name", primary.stem]
    if args.config_dir:
        passed += ["--config-dir", args.config_dir]
    dry_run = args.multirun and args.cfg is not None
    if dry_run and args.cfg != "job":
        raise UsageError(f"--cfg {args.cfg} shows one config; with --multirun use --cfg job")
    if args.multirun:
        passed.append("--multirun")
    for flag in ("run", "help", "hydra_help", "shell_completion"):
        if getattr(args, flag):
            passed.append(f"--{flag.replace('_', '-')}")
    if args.info is not None:
        passed += ["--info", args.info]
    if args.package is not None:
        passed += ["--package", args.package]
    overrides = list(args.overrides)
    if dry_run:
        overrides.append(f"hydra.sweeper.dry_run={'resolved' if args.resolve else 'composed'}")
    elif args.cfg is not None:
        passed += ["--cfg", args.cfg] + (["--resolve"] if args.resolve else [])
    return [*passed, *overrides]


def _check_single_run(
    primary: Path, overrides: Sequence[str], check: Callable[[Config], None] | None
) -> None:
    """Checks a single training before Hydra makes its directory."""
    with hydra.initialize_config_dir(str(primary.parent), version_base=HYDRA_VERSION):
        composed = hydra.compose(primary.stem, overrides=list(overrides), return_hydra_config=True)
    with contextlib.suppress(OmegaConfBaseException):  # it may depend on what is known later
        check_place(Path(composed.hydra.run.dir))
    origin = Origin(primary, overrides)
    try:
        with checking.trying() as checked:
            config = checked(plain(composed))
        if check is not None:
            check(config)
    except ConfigError as error:
        raise ConfigError(origin.located(error.problems)) from None
    for caution in origin.cautions(config):
        print(f"warning: {caution}", file=sys.stderr)


@contextlib.contextmanager
def _hydra_environment(arguments: Sequence[str]) -> Iterator[None]:
    """Gives Hydra its command line and has it raise errors instead of printing them."""
    argv, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = [argv[0], *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = argv
        if full_error is None:
            os.environ.pop("HYDRA_FULL_ERROR", None)
        else:
            os.environ["HYDRA_FULL_ERROR"] = full_error


@contextlib.contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Treats SIGTERM, which clusters send, like Ctrl-C."""

    def interrupt(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise KeyboardInterrupt

    try:
        previous = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # only the main thread may set handlers
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _explained(error: Exception) -> str:
    """The error's text, with near matches for a key that Hydra does not find."""
    problem = composition_problem(error) if isinstance(error, HydraException) else None
    if problem is not None:
        return str(problem)
    text = str(error).strip()
    if isinstance(error, OverrideParseException):
        text = f"{error.override}: {text.splitlines()[0]}"
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException) and str(cause) not in text:
        text = f"{text}\n{cause}"
    key = getattr(cause, "full_key", None) or getattr(error, "full_key", None)
    if key:
        text += did_you_mean(str(key), leaf_paths(Config))
    return text
