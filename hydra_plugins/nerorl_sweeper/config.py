"""The options of the sweeper, ``hydra.sweeper.*``."""

# No postponed annotations here: Hydra's discovery runs this module without naming it in
# sys.modules, where dataclasses look them up.
from dataclasses import dataclass, field

from hydra.core.config_store import ConfigStore


@dataclass
class JobIdentity:
    """Which job of a sweep a config belongs to."""

    permutation: int = -1
    repetition: int = -1
    keys: list[str] = field(default_factory=list)
    """The swept keys, in grid order."""


@dataclass
class NeroRLSweeperConf:
    """A grid of the choices in a tuning file and on the command line."""

    _target_: str = "hydra_plugins.nerorl_sweeper.nerorl_sweeper.NeroRLSweeper"

    tune: str | None = None
    """Path of the tuning file, or the name of a shipped one such as ``example``."""
    num_repetitions: int = 1
    """Laps: all permutations once, then all again with the next seed."""
    duplicates: str = "keep"
    """What to do with permutations that repeat another: ``keep`` or ``drop``."""
    on_invalid: str = "error"
    """What to do with permutations that cannot work: ``error`` or ``skip``."""
    max_jobs: int = 1_000_000
    """A grid of more jobs is refused."""
    max_batch_size: int | None = None
    """Jobs handed to the launcher at a time; null leaves it to the sweeper."""
    retry_failed: bool = True
    """Whether continuing a sweep tries its failed jobs again."""
    generate_only: bool = False
    """Write the configs of all permutations below ``hydra.sweep.dir``; train nothing."""
    dry_run: str = "no"
    """Print every job's config instead: ``composed``, or ``resolved`` with interpolations."""
    params: dict[str, str] = field(default_factory=dict)
    """Sweeps as in Hydra's basic sweeper; the command line overrides them."""
    n_jobs: int | None = None
    """Jobs that run at a time in processes of this machine, unless another launcher is chosen;
    null: one a core, or one a GPU. Cores are divided among them."""
    max_retries: int = 0
    """How often a job is tried again whose fault was not its config's: it was killed, a port was
    taken, an environment did not answer."""
    fail_fast: bool = False
    """Whether the first failed job stops the sweep; under other launchers, after its batch."""
    extend: bool = False
    """Whether choices or keys may have been added to a sweep that is continued: finished
    permutations are kept by their values."""
    job: JobIdentity = field(default_factory=JobIdentity)
    """Set by the sweeper for each job: which permutation and repetition it is."""


ConfigStore.instance().store(
    group="hydra/sweeper", name="nerorl", node=NeroRLSweeperConf, provider="nerorl"
)
