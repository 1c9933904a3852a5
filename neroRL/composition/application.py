"""Runs Hydra for every entry point, and checks the config before anything is created."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import hydra
from hydra._internal.utils import (
    detect_calling_file_or_module_from_task_function,
    detect_task_name,
    get_args_parser,
)
from hydra.core.override_parser.types import Override
from hydra.core.utils import env_override
from hydra.errors import HydraException
from hydra.types import TaskFunction
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from neroRL.composition.alone import HYDRA_VERSION, compose_alone, explained, make_primary
from neroRL.composition.checking import known_to_hydra
from neroRL.composition.grammar import parse_all
from neroRL.composition.loader import choices_hold
from neroRL.composition.other_sweepers import end_of_study, overrides_for_sweeper
from neroRL.composition.overrides import escaped, value_text
from neroRL.composition.source import shipped_conf
from neroRL.config.schema import Config
from neroRL.errors import FailedError, UsageError
from neroRL.files import (
    check_place_of_jobs,
    is_file,
    make_directory,
    make_new_directory,
    undecoded,
)
from neroRL.locks import held
from neroRL.streams import as_data
from neroRL.texts import did_you_mean, shortened

DEFAULT_CONFIG = "default"
_OF_SWEEPS = "which ntune or python train.py -m run"
# A directory that is named by the time of its start, as ``${now:%H-%M-%S}``.
_NAMED_BY_TIME = re.compile(r"\$\{now:[^}]*\}[^/]*$")


def run(
    arguments: Sequence[str], task: TaskFunction, check: Callable[[Config], None] | None = None
) -> int:
    """Runs one command line, as ``python train.py`` would.

    Args:
        arguments: flags and overrides of Hydra, without the program's name.
        task: called with the composed config of each job.
        check: called with the config of a single training, before anything is created.

    Returns:
        The exit status: 0, or 1 if some job of a sweep failed.

    Raises:
        NeroRLError: bad input; nothing was created.
        FailedError: a single training failed.
    """
    try:
        _run(arguments, task, check)
    except (HydraException, OmegaConfBaseException) as error:
        raise UsageError(explained(error)) from error
    except SystemExit as end:
        if not isinstance(end.code, int):
            raise
        return end.code
    return 0


def _run(
    arguments: Sequence[str], task: TaskFunction, check: Callable[[Config], None] | None
) -> None:
    problem = next(filter(None, map(undecoded, arguments)), None)
    if problem is not None:
        raise UsageError(problem)
    # Flags may stand between overrides.
    args = _parsed(arguments)
    overrides = parse_all(args.overrides)
    if not args.multirun:
        _refuse_sweeps(overrides, trains=not _only_shows(args))
    primary = _primary_file(args)
    make_primary(primary)
    passed = _arguments_for_hydra(args, primary)
    with choices_hold():
        more = []
        if args.multirun:
            shows = args.cfg is not None
            more = overrides_for_sweeper(primary, args.overrides, dry_run=shows)
        main = hydra.main(
            version_base=HYDRA_VERSION, config_path=str(primary.parent), config_name=primary.stem
        )(task)
        if _only_shows(args):
            if args.cfg == "job" and not args.multirun:
                _check_alone(primary, args.overrides, task)
            with as_data(), _hydra_environment(passed):
                main()
        elif args.multirun:
            with _hydra_environment([*passed, *more]), end_of_study():
                main()
        else:
            directory, is_new = _check_single_run(primary, args.overrides, task, check)
            _train_alone(main, directory, passed, is_new=is_new)


def _refuse_sweeps(overrides: Sequence[Override], *, trains: bool) -> None:
    """Refuses overrides that only a sweep takes.

    Raises:
        UsageError: an override has several values, or is an option of the sweeper in a training.
    """
    for override in overrides:
        if override.is_sweep_override():
            message = (
                f"several values are a sweep, {_OF_SWEEPS}; a list has brackets, a text quotes"
            )
        elif trains and override.key_or_group.startswith("hydra.sweeper."):
            message = f"is an option of sweeps, {_OF_SWEEPS}, and this is a single training"
        else:
            continue
        raise UsageError(f"{shortened(override.input_line)}: {message}")


def _train_alone(
    main: Callable[[], object], directory: Path, passed: Sequence[str], *, is_new: bool
) -> None:
    """Runs a single training in a directory that it holds alone.

    Raises:
        OutputError: the directory cannot be made, or another process holds it.
        FailedError: the training failed.
    """
    if is_new:
        directory = make_new_directory(directory)
    else:
        make_directory(directory)
    place = f"hydra.run.dir={value_text(escaped(str(directory)))}"
    with held(directory, "training"), _hydra_environment([*passed, place]):
        try:
            main()
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            log = next(iter(directory.glob("*.log")), None)
            where = f"; its traceback is in {log}" if log is not None else ""
            raise FailedError(f"the training failed: {told}{where}") from error


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = get_args_parser()
    args, unknown = parser.parse_known_intermixed_args(arguments)
    if unknown:
        known = [option for action in parser._actions for option in action.option_strings]
        name = unknown[0].split("=", 1)[0]
        raise UsageError(f"unknown flag {name}{did_you_mean(name, known)}")
    _check_alone_in_its_kind(args)
    return args


def _check_alone_in_its_kind(args: argparse.Namespace) -> None:
    """Refuses what Hydra refuses with a traceback, or what is not passed to it.

    Raises:
        UsageError: several flags say what to do, or one asks for a pickled config.
    """
    asked = {
        "--run": args.run,
        "--multirun": args.multirun,
        "--info": args.info is not None,
        "--shell-completion": args.shell_completion,
        "--cfg": args.cfg is not None and not args.multirun,  # the two are a dry run
    }
    given = [name for name, is_given in asked.items() if is_given]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)}: give one of them")
    if args.experimental_rerun is not None:
        raise UsageError("--experimental-rerun is not supported; give the command again")


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
        if is_file(directory / name):
            return (directory / name).resolve()
    searched = ", ".join(str(directory.resolve()) for directory in directories)
    known = [path.stem for directory in directories for path in directory.glob("*.yaml")]
    hint = did_you_mean(Path(name).stem, known)
    raise UsageError(f"no config {name} in {searched}{hint}")


def _arguments_for_hydra(args: argparse.Namespace, primary: Path) -> list[str]:
    """Returns the command line for Hydra, which refuses --multirun together with --cfg."""
    passed = ["--config-path", str(primary.parent), "--config-name", primary.stem]
    if args.config_dir:
        passed += ["--config-dir", args.config_dir]
    dry_run = args.multirun and args.cfg is not None
    if dry_run and args.cfg != "job":
        raise UsageError(f"--cfg {args.cfg} shows one config; with --multirun use --cfg job")
    if dry_run and args.package is not None:
        raise UsageError("--package shows a part of one config; leave it out with --multirun")
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
    primary: Path,
    overrides: Sequence[str],
    task: TaskFunction,
    check: Callable[[Config], None] | None,
) -> tuple[Path, bool]:
    """Checks a single training, and the place of its directory, before Hydra makes it.

    Returns:
        The directory, and whether it must be new. A directory named by the time must be, even if
        another training started in the same second.
    """
    composed = _check_alone(primary, overrides, task, check)
    with known_to_hydra(composed):
        directory = Path(str(composed.hydra.run.dir))
    check_place_of_jobs(directory)
    return directory, _is_named_by_time(composed)


def _check_alone(
    primary: Path,
    overrides: Sequence[str],
    task: TaskFunction,
    check: Callable[[Config], None] | None = None,
) -> DictConfig:
    """Checks a single training and returns its composed config; prints cautions."""
    name = detect_task_name(*detect_calling_file_or_module_from_task_function(task)[:2])
    return compose_alone(primary, overrides, name, check)[0]


def _is_named_by_time(composed: DictConfig) -> bool:
    written = OmegaConf.to_container(composed.hydra.run, resolve=False)
    assert isinstance(written, dict)
    return _NAMED_BY_TIME.search(str(written["dir"])) is not None


@contextlib.contextmanager
def _hydra_environment(arguments: Sequence[str]) -> Iterator[None]:
    """Gives Hydra its command line, and makes it raise errors instead of printing them."""
    argv = sys.argv
    sys.argv = [argv[0], *arguments]
    try:
        with env_override({"HYDRA_FULL_ERROR": "1"}):
            yield
    finally:
        sys.argv = argv
