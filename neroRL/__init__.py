"""neroRL: grid search for PPO on Hydra."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neroRL.evaluation.playing import load_policy as load_policy
    from neroRL.reporting.frames import read_sweep as read_sweep

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Commands start without what these need.
    if name == "read_sweep":
        from neroRL.reporting.frames import read_sweep

        return read_sweep
    if name == "load_policy":
        from neroRL.evaluation.playing import load_policy

        return load_policy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
