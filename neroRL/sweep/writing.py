"""Writes the configs of a grid to standard output or to files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from neroRL.composition.checking import as_written, plain
from neroRL.composition.completion import complete
from neroRL.composition.overrides import Compose, escaped, override_key
from neroRL.config.documents import dump_yaml
from neroRL.errors import OutputError
from neroRL.files import check_place, make_directory, write_text
from neroRL.sweep.jobs import SEED, Job

CONFIGS, INFO = "configs", "info.txt"
MOST_DIFFERENCES = 5
# What a YAML parser takes for the end of a line, or refuses, and how it is written in a comment.
_REFUSED = {*range(32), *range(0x7F, 0xA0), 0x2028, 0x2029} - {ord("\t")}
_CONTROL = {code: ascii(chr(code))[1:-1] for code in _REFUSED}


def print_configs(jobs: Iterable[Job], compose: Compose, *, resolve: bool) -> None:
    """Prints every job's config as one YAML stream.

    Args:
        jobs: to print.
        compose: composes a job from its overrides.
        resolve: whether interpolations are replaced by their values.
    """
    for job in jobs:
        config = compose(job.overrides)
        print("---")
        print(f"# job {job.number}: {_in_one_line(_shown(job))}")
        print(dump_yaml(plain(config) if resolve else as_written(config)), end="")


def generate(jobs: Sequence[Job], compose: Compose, directory: Path) -> int:
    """Writes ``configs/<i>.yaml``, one complete config per permutation, and ``info.txt``.

    Repetitions after the first are ``configs/<i>-<r>.yaml``.

    Args:
        jobs: to write.
        compose: composes a job from its overrides.
        directory: to write to. Writing the same grid again changes nothing.

    Returns:
        The number of configs.

    Raises:
        OutputError: the directory holds the configs of a different grid; they are not changed.
    """
    info = "".join(f"{_name(job)}: {_permutation(job)}\n" for job in jobs)

    def files() -> Iterator[tuple[Path, str]]:
        yield directory / INFO, info
        for job in jobs:
            config = complete(plain(compose(job.overrides)))
            yield directory / _name(job), dump_yaml(escaped(config))

    check_place(directory)
    _refuse_different_grid(directory, files())
    make_directory(directory / CONFIGS)
    for path, text in files():
        if not path.exists():
            write_text(path, text)
    return len(jobs)


def _refuse_different_grid(directory: Path, files: Iterable[tuple[Path, str]]) -> None:
    there = {path for path in (directory / CONFIGS).glob("*") if not path.name.startswith(".")}
    there |= {path for path in [directory / INFO] if path.exists()}
    if not there:
        return
    differing = []
    for path, text in files:
        if path in there and path.read_text(encoding="utf-8") != text:
            differing.append(f"{path} differs: {_first_difference(path, text)}")
        there.discard(path)
    differing += [f"{path} is not part of this grid" for path in sorted(there)]
    if differing:
        listed = "\n  ".join(differing[:MOST_DIFFERENCES])
        raise OutputError(
            f"{directory} holds the configs of a different grid; nothing was changed. "
            f"Use another --out, or remove it.\n  {listed}"
        )


def _first_difference(path: Path, text: str) -> str:
    lines = zip_longest(path.read_text(encoding="utf-8").splitlines(), text.splitlines())
    there, now = next((there, now) for there, now in lines if there != now)
    return f"there {there!r}, now {now!r}"


def _name(job: Job) -> str:
    lap = f"-{job.repetition}" if job.repetition else ""
    return f"{CONFIGS}/{job.permutation.number}{lap}.yaml"


def _permutation(job: Job) -> str:
    """Returns the overrides of a job's permutation, with the job's own seed if it is swept."""
    overrides = job.permutation.overrides
    told = (f"{SEED}={job.seed}" if override_key(text) == SEED else text for text in overrides)
    return _in_one_line(told) or "the base config"


def _in_one_line(overrides: Iterable[str]) -> str:
    return " ".join(overrides).translate(_CONTROL)


def _shown(job: Job) -> list[str]:
    """Returns the overrides of a job without those of Hydra's own node."""
    return [text for text in job.overrides if not text.startswith("hydra.")]
