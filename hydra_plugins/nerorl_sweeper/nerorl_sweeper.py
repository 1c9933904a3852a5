"""The sweeper plugin: a thin class, so that Hydra's discovery of plugins stays quick."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from hydra.core.plugins import Plugins
from hydra.core.utils import env_override
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

if TYPE_CHECKING:
    from neroRL.config import Config
    from neroRL.errors import Problem


class NeroRLSweeper(Sweeper):
    """Grid search over a tuning file and the sweeps of the command line.

    Args:
        options: see :class:`neroRL.sweep.options.SweepOptions`.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._launcher: Launcher | None = None
        self._task_function: TaskFunction | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Makes the launcher; see Hydra's ``Sweeper``."""
        from neroRL.composition.overrides import parse
        from neroRL.composition.templates import TemplateLoader
        from neroRL.sweep.task import SweptTask

        loader = TemplateLoader(hydra_context.config_loader, parse)
        context = HydraContext(config_loader=loader, callbacks=hydra_context.callbacks)  # type: ignore[arg-type]
        self.config, self.hydra_context = config, context
        requeued = config.hydra.launcher["_target_"].endswith(".SlurmLauncher")
        self._task_function = SweptTask(task_function, requeued=requeued)
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=self._task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Runs the sweep; see :class:`neroRL.sweep.engine.Sweep`.

        Args:
            arguments: the overrides of the command line.
        """
        from neroRL.composition.source import PrimarySearchPath
        from neroRL.sweep.engine import Sweep
        from neroRL.sweep.options import options_from
        from neroRL.sweep.plan import plan

        assert self._launcher is not None
        assert self._task_function is not None
        assert self.config is not None
        assert self.hydra_context is not None
        options = options_from(self._options)
        primary = getattr(PrimarySearchPath, "primary", None)
        loader = self.hydra_context.config_loader
        with env_override(_variables(self.config)):  # as Hydra does for each job
            planned = plan(self.config, loader, options, arguments, _model_problems, primary)
            Sweep(
                planned, self.config, self.hydra_context, self._launcher, self._task_function
            ).run()


def _variables(config: DictConfig) -> dict[str, str]:
    """Returns the environment variables of all jobs; none if they differ between jobs."""
    with contextlib.suppress(OmegaConfBaseException):
        return dict(config.hydra.job.env_set)
    return {}


def _model_problems(config: Config) -> list[Problem]:
    """Finds problems of a job's model and its weights; imports torch only if it may have any."""
    recurrence = config.model.recurrence
    adds_encoded = recurrence is not None and recurrence.residual and not recurrence.embed
    if not (config.model.load_model or adds_encoded):
        return []
    from neroRL.training.starting import model_problems

    return model_problems(config)
