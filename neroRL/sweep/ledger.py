"""Compares the sweep that a directory holds with the one that is about to run there."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neroRL.config.checks import flat
from neroRL.errors import OutputError
from neroRL.files import check_place
from neroRL.records.results import PLACE
from neroRL.records.sweep_record import RECORD_FILE, SweepRecord, command_line, hardware, versions
from neroRL.sweep.grid import Axis
from neroRL.sweep.jobs import SEED, seed_of_choice
from neroRL.sweep.plan import SweepPlan

SEED_LIMIT = 2**31 - 1


def axes_of(axes: Sequence[Axis]) -> dict[str, list[Any]]:
    """Returns the axes as the record has them."""
    return {axis.key: [choice.value for choice in axis.choices] for axis in axes}


def trained_axes(record: SweepRecord) -> dict[str, Sequence[Any]]:
    """Returns the swept keys and the values that jobs have; drawn seeds are the numbers drawn."""
    seeds = [seed_of_choice(seed, record.drawn_seeds) for seed in record.axes.get(SEED, [])]
    return {**record.axes, **({SEED: seeds} if seeds else {})}


def record_of(plan: SweepPlan, earlier: SweepRecord | None) -> SweepRecord:
    """Returns the record of a sweep that is about to run, and draws its seeds.

    Args:
        plan: of the sweep.
        earlier: the record of the same sweep if it is continued; its drawn seeds stay.
    """
    seed = plan.seed
    if seed < 0:
        seed = earlier.seed if earlier is not None else secrets.randbelow(SEED_LIMIT)
    # Earlier repetitions stay part of the sweep even if fewer are asked for now.
    laps = max(plan.options.num_repetitions, earlier.repetitions if earlier else 0)
    axes = axes_of(plan.grid.axes)
    return SweepRecord(
        base=plan.base,
        axes=axes,
        seed=seed,
        tune=str(plan.options.tune) if plan.options.tune else None,
        repetitions=laps,
        permutations=len(plan.grid),
        jobs=len(plan.findings.valid) * laps,
        conditional=tuple(plan.overrides.conditional()),
        drawn_seeds=tuple(_drawn_seeds(axes.get(SEED, []), earlier)),
        id=earlier.id if earlier else f"{plan.base['run_id']}-{secrets.token_hex(4)}",
        command=command_line(),
        versions=versions(),
        hardware=hardware(),
        confirm=plan.options.confirm,
        confirm_repetitions=plan.options.confirm_repetitions,
    )


def _drawn_seeds(swept: Sequence[Any], earlier: SweepRecord | None) -> list[int]:
    """Returns a seed for each choice that asks for one; seeds drawn before stay."""
    count = sum(type(value) is int and value < 0 for value in swept)
    drawn = list(earlier.drawn_seeds) if earlier is not None else []
    return drawn + [secrets.randbelow(SEED_LIMIT) for _ in range(count - len(drawn))]


def difference(old: SweepRecord, new: SweepRecord) -> list[str]:
    """Lists what makes two sweeps different ones, a line each; empty for the same sweep."""
    lines = []
    for key in dict.fromkeys([*old.axes, *new.axes]):
        was, now = old.axes.get(key), new.axes.get(key)
        if was != now:
            lines.append(f"{key}: there {_shown(was)}, now {_shown(now)}")
    if not lines and list(old.axes) != list(new.axes):
        lines.append(f"order of keys: there {list(old.axes)}, now {list(new.axes)}")
    for key, (there, here) in _base_difference(old, new).items():
        lines.append(f"{key}: there {there}, now {here}")
    if list(old.conditional) != list(new.conditional):
        there, here = list(old.conditional), list(new.conditional)
        lines.append(f"values that apply beside some choices: there {there}, now {here}")
    return lines


def refuse_other_sweep(directory: Path, there: SweepRecord, now: SweepRecord) -> None:
    """Refuses to run a sweep in the directory of a different one.

    Raises:
        OutputError: they differ; it lists every difference and the ways out.
    """
    lines = difference(there, now)
    if there.seed != now.seed:
        lines.append(f"seed: there {there.seed}, now {now.seed}")
    if lines:
        ways = ["use another --run-id or --out", "remove it", *_ways_to_extend(there, now)]
        listed = "\n  ".join(lines)
        raise OutputError(
            f"{directory} holds a different sweep; nothing was changed. "
            f"You can {'; or '.join(ways)}.\n  {listed}"
        )


def _base_difference(old: SweepRecord, new: SweepRecord) -> dict[str, tuple[Any, Any]]:
    was, now = flat(old.base), flat(new.base)
    return {
        key: (was.get(key), now.get(key))
        for key in dict.fromkeys([*was, *now])
        if was.get(key) != now.get(key) and key not in (*PLACE, "seed") and key not in new.axes
    }


def _ways_to_extend(there: SweepRecord, now: SweepRecord) -> list[str]:
    """Returns the ways in which ``hydra.sweeper.extend=true`` allows the difference."""
    changed = _base_difference(there, now)
    if changed:
        key, (was, value) = next(iter(changed.items()))
        return [f"sweep {key} over {was} and {value}, with hydra.sweeper.extend=true"]
    grown = all(_contains(now.axes.get(key, []), choices) for key, choices in there.axes.items())
    if grown and there.axes != now.axes:
        return ["add hydra.sweeper.extend=true, which keeps what is done and trains the rest"]
    return []


def _contains(choices: Sequence[Any], fewer: Sequence[Any]) -> bool:
    return not Counter(map(repr, fewer)) - Counter(map(repr, choices))


def check_directory(directory: Path) -> None:
    """Refuses an output directory that cannot hold a sweep, without creating anything.

    Raises:
        OutputError: it is a file, not writable, or holds something that is no sweep.
    """
    check_place(directory)
    if directory.exists() and not (directory / RECORD_FILE).exists():
        foreign = sorted(path.name for path in directory.iterdir() if path.name[0] != ".")
        if foreign:
            raise OutputError(
                f"{directory} holds {', '.join(foreign[:3])} but no {RECORD_FILE}; nothing there "
                "is overwritten, use another --out or --run-id"
            )


def _shown(choices: Sequence[Any] | None) -> str:
    return "not swept" if choices is None else str(list(choices))
