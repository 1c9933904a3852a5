"""The cores of this machine, and the number that a training uses."""

from __future__ import annotations

import contextlib
import math
import os
import time
from pathlib import Path

# How often a thread of OpenMP looks for work before it sleeps; the default is 300,000. It takes
# effect where it is set before torch is imported. docs/performance.md has the measurements.
SPINS = "GOMP_SPINCOUNT"
# With less, threads sleep and wake within every step.
ALONE = 40_000
# With more, threads keep cores busy while the thread that they wait for has none.
BESIDE_OTHERS = 5_000
STATISTICS = Path("/proc/stat")
LOOKS, SECONDS_BETWEEN = 3, 0.003
POLICY = "OMP_WAIT_POLICY"
# Of version 2 of control groups, and of version 1.
GROUPS, OWN_GROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
QUOTA_AND_PERIOD = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))

_share: int | None = None


def available_cores() -> int:
    """Returns the number of cores that this process may use.

    A container may have all cores of its machine and only some of their time.
    """
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    return math.ceil(min(cores, *map(_time_of_cores, _control_groups())))


def _control_groups() -> list[Path]:
    """Returns the directories of the control group of this process and of those above it."""
    own = "/"
    with contextlib.suppress(OSError):
        lines = OWN_GROUP.read_text(encoding="utf-8").splitlines()
        own = next((line[3:] for line in lines if line.startswith("0::")), own)
    group = GROUPS / own.strip("/")
    return [group, *(above for above in group.parents if above.is_relative_to(GROUPS))]


def _time_of_cores(group: Path) -> float:
    """Returns how many cores a control group has the time of; infinity if that is not limited."""
    for names in QUOTA_AND_PERIOD:
        with contextlib.suppress(OSError, ValueError):  # not this version, or no limit
            text = " ".join((group / name).read_text(encoding="utf-8") for name in names)
            quota, period = map(int, text.split())
            if quota > 0:
                return quota / period
    return math.inf


def set_share(threads: int) -> None:
    """Sets the threads of ``threads: auto`` in this process, one of several on the machine."""
    global _share
    _share = threads


def automatic_threads() -> int:
    """Returns the number of threads that ``threads: auto`` means in this process."""
    return available_cores() if _share is None else _share


def limit_spinning() -> None:
    """Lets torch's threads soon give up the core on which they wait for each other.

    How soon depends on what else is running, since it changes the speed of a training and none of
    its results. A choice of the user's own in the environment variables stays.
    """
    if POLICY not in os.environ and SPINS not in os.environ:
        os.environ[SPINS] = str(BESIDE_OTHERS if others_need_cores() else ALONE)


def others_need_cores() -> bool:
    """Returns whether other processes leave this one fewer cores than it may use.

    They do if it looks so several times in a row: something is always running for a moment.
    """
    for look in range(LOOKS):
        if look:
            time.sleep(SECONDS_BETWEEN)
        if running_threads() - 1 + available_cores() <= (os.cpu_count() or 1):
            return False
    return True


def running_threads() -> int:
    """Returns how many threads of the machine are running, this one included."""
    try:
        lines = STATISTICS.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("procs_running"))
    except (OSError, StopIteration):  # no Linux
        return 1
