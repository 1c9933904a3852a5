"""The sweeper's node of Hydra's config, ``hydra.sweeper``."""

# No postponed annotations here: Hydra's discovery runs this module without naming it in
# sys.modules, where dataclasses look them up.
from dataclasses import dataclass, field

from hydra.core.config_store import ConfigStore

from neroRL.sweep.options import SweepOptions


@dataclass
class JobIdentity:
    """The job of a sweep that a config belongs to."""

    permutation: int = -1
    repetition: int = -1
    keys: list[str] = field(default_factory=list)
    """The swept keys, in grid order."""
    shown_as_text: list[str] = field(default_factory=list)
    """Swept keys with choices of several types, which TensorBoard cannot compare."""
    sweep: str = ""
    """The sweep's id."""
    rung: float | None = None
    """Share of its updates after which a race stops the job for now; 1 for the last."""
    edition: int | None = None
    """The edition of the sweep that a launcher was given the job of."""


@dataclass
class NeroRLSweeperConf(SweepOptions):
    """A grid of the choices in a tuning file and on the command line."""

    _target_: str = "hydra_plugins.nerorl_sweeper.nerorl_sweeper.NeroRLSweeper"
    job: JobIdentity = field(default_factory=JobIdentity)
    """Set by the sweeper for each job."""


ConfigStore.instance().store(
    group="hydra/sweeper", name="nerorl", node=NeroRLSweeperConf, provider="nerorl"
)
