"""Finds the files that a user names, as paths or below the shipped ``conf/``."""

from __future__ import annotations

from pathlib import Path, PurePath

from neroRL.composition.source import shipped_conf
from neroRL.errors import UsageError
from neroRL.files import expanded, is_file, reason_of
from neroRL.texts import did_you_mean, shortened

DOCUMENTED_DIRECTORY = "configs"
SUFFIXES = (".yaml", ".yml")


def find_config(name: str) -> Path:
    """Finds a base config.

    Args:
        name: a path; one below ``./configs/`` that does not exist is looked up by the rest of its
            name in the shipped ``conf/``.

    Returns:
        Its absolute path. A link keeps its name: what it points to may have no suffix.

    Raises:
        UsageError: there is no such file, or its name is not that of a YAML file.
    """
    path = _find(name, shipped_conf())
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path} ({path.absolute()}) does not end with {' or '.join(SUFFIXES)}")
    return path.parent.resolve() / path.name


def find_tuning_file(name: str) -> Path:
    """Finds a tuning file: as :func:`find_config`, or by the name of a shipped one.

    Raises:
        UsageError: there is no such file; the message lists the places searched.
    """
    shipped = shipped_conf() / "tune" / f"{name}.yaml"
    if "/" not in name and is_file(shipped) and not Path(name).exists():
        return shipped
    return _find(name, shipped_conf() / "tune")


def _find(name: str, directory: Path) -> Path:
    path = expanded(name)
    if is_file(path):
        return path
    shown = shortened(path if path.is_absolute() else f"{path} ({path.absolute()})")
    try:
        if path.is_dir():
            raise UsageError(f"{path} ({path.resolve()}) is a directory; expected a YAML file")
        if path.exists():
            raise UsageError(f"{shown} is no regular file")
    except OSError as error:
        raise UsageError(f"{shown}: {reason_of(error)}") from None
    parts = PurePath(name).parts
    looked_for = [shown]
    if parts and parts[0] == DOCUMENTED_DIRECTORY:
        shipped = shipped_conf().joinpath(*parts[1:])
        if shipped.is_file():
            return shipped
        looked_for.append(str(shipped))
    known = [found.name for found in [*directory.glob("*.yaml"), *path.parent.glob("*.yaml")]]
    hint = did_you_mean(path.name, known)
    raise UsageError(f"{' and '.join(looked_for)} does not exist{hint}")
