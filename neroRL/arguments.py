"""Parses the flags of commands: typed values, near matches for unknown flags, exit status 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from neroRL.errors import UsageError
from neroRL.files import expanded
from neroRL.records.exits import Exit
from neroRL.texts import did_you_mean

# Hydra's flags that show something in place of running; HELPING ones, of Hydra alone.
HELPING = ("--hydra-help", "--shell-completion", "-sc", "--version")
SHOWING = ("--info", "-i", *HELPING)
# These two show jobs, with --multirun all of a sweep.
CFG = ("--cfg", "-c")
_HYDRAS = (*CFG, *SHOWING, "--resolve", "--package", "-p", "--config-dir", "-cd")


class Parser(argparse.ArgumentParser):
    """Parses the flags of one command; suggests the nearest flag for one it does not know.

    Args:
        command: its name.
        takes: what it takes, for the usage: ``[options] [overrides]``.
        description: a sentence about the command.
        epilog: shown below the flags.
    """

    def __init__(
        self, command: str, takes: str, description: str, epilog: str | None = None
    ) -> None:
        super().__init__(
            prog=command,
            usage=f"{command} {takes}\n       {command} --help",
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def flag(
        self,
        name: str,
        metavar: str,
        text: str,
        default: object = None,
        kind: Callable[[str], object] = str,
    ) -> None:
        """Adds a flag with a value; its help shows a default that is not None."""
        shown = f"{text} [default: {default}]" if default is not None else text
        self.add_argument(name, metavar=metavar, help=shown, default=default, type=kind)

    def switch(self, name: str, text: str) -> None:
        """Adds a flag without a value."""
        self.add_argument(name, action="store_true", help=f"{text} [default: False]")

    def error(self, message: str) -> NoReturn:
        """Prints what is wrong and ends with status 2."""
        self.print_usage(sys.stderr)
        print(f"error: {message}", file=sys.stderr)
        raise SystemExit(Exit.BAD_INPUT)

    def parse(
        self, arguments: Sequence[str], more: Sequence[str] = ()
    ) -> tuple[argparse.Namespace, list[str]]:
        """Returns the flags, and the arguments for Hydra.

        Args:
            arguments: of the command line.
            more: flags of Hydra that this command passes on, beside those that all do.
        """
        parsed, passed = self.parse_known_args(list(arguments))
        for text in passed:
            if text.startswith("-") and name_of(text) not in (*_HYDRAS, *more):
                self._refuse(text, {})
        return parsed, passed

    def parse_alone(
        self, arguments: Sequence[str], counterparts: Mapping[str, str] | None = None
    ) -> argparse.Namespace:
        """Returns the flags of a command that takes nothing else.

        Args:
            arguments: of the command line.
            counterparts: flags of other commands, and those of this one that mean the same.
        """
        parsed, others = self.parse_known_args(list(arguments))
        for text in others:
            self._refuse(text, counterparts or {})
        return parsed

    def _refuse(self, text: str, counterparts: Mapping[str, str]) -> NoReturn:
        if not text.startswith("-"):
            self.error(f"{text} is no flag, and this command takes nothing else")
        name = name_of(text)
        known = [option for action in self._actions for option in action.option_strings]
        meant = counterparts.get(name)
        hint = did_you_mean(name, known) if meant is None else f"; did you mean {meant}?"
        if not hint and "=" in text:
            hint = f"; an override has no dashes: {text.lstrip('-')}"
        self.error(f"unknown flag {name}{hint}")


def name_of(text: str) -> str:
    """Returns the name of a flag, without its value."""
    return text.split("=", 1)[0]


def a_path(text: str) -> Path:
    """Returns a path, with ``~`` replaced; an empty one is refused."""
    if not text:
        raise argparse.ArgumentTypeError("is empty; expected a path")
    try:
        return expanded(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def a_file(text: str) -> Path:
    """Returns the path of a file to write, with ``~`` replaced."""
    path = a_path(text)
    if path.name in ("", ".."):
        raise argparse.ArgumentTypeError(f"{text} names no file")
    return path


def an_integer(text: str) -> int:
    """Returns an integer."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no integer") from None


def a_positive(text: str) -> int:
    """Returns an integer from 1."""
    if an_integer(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not allowed; expected 1 or more")
    return int(text)


def not_negative(text: str) -> int:
    """Returns an integer from 0."""
    if an_integer(text) < 0:
        raise argparse.ArgumentTypeError(f"{text} is not allowed; expected 0 or more")
    return int(text)


def a_run_id(text: str) -> str:
    """Returns a run-id that can name a directory."""
    from neroRL.config.checks import run_id_problem  # imports pydantic and others

    problem = run_id_problem(text)
    if problem:
        raise argparse.ArgumentTypeError(problem)
    return text
