"""Composes the jobs of a sweep without reading and merging every file again for each.

Hydra composes a job from scratch, about 40 ms each time. Jobs that choose the same config groups
differ in values only, so one composition serves as their template: a copy of it with the values
set is the very config that Hydra gives.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

# Keys that Hydra reads while it composes: overriding them takes a composition of its own.
_READ_BY_COMPOSITION = ("hydra.searchpath", "hydra.job.env_copy", "hydra.job.config")


class TemplateLoader:
    """Hydra's config loader, with a fast ``load_sweep_config``.

    Args:
        loader: Hydra's own, which everything else is passed to.
        parse: parses one override.
    """

    def __init__(self, loader: ConfigLoader, parse: Callable[[str], Override]) -> None:
        self._loader = loader
        self._parse = parse
        self._templates: dict[tuple[str, ...], bytes] = {}
        self._groups: dict[str, bool] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copying and pickling look for hooks before there is a loader
            raise AttributeError(name)
        return getattr(self._loader, name)

    def load_sweep_config(
        self, master_config: DictConfig, sweep_overrides: Sequence[str]
    ) -> DictConfig:
        """Composes one job; see Hydra's ``ConfigLoader.load_sweep_config``.

        Raises:
            ConfigCompositionException: an override does not fit the config.
        """
        overrides = [self._parse(text) for text in sweep_overrides]
        if any(self._needs_composition(override) for override in overrides):
            return self._loader.load_sweep_config(master_config, list(sweep_overrides))
        groups = [override for override in overrides if self.is_group(override.key_or_group)]
        values = [override for override in overrides if override not in groups]
        config = self._copy_of_template(master_config, groups)
        try:
            ConfigLoaderImpl._apply_overrides_to_config(values, config)
        except OmegaConfBaseException as error:
            raise ConfigCompositionException(str(error)) from error
        _record_overrides(config, overrides)
        OmegaConf.copy_cache(from_config=master_config, to_config=config)
        return config

    def is_group(self, key: str) -> bool:
        """Whether an override's key chooses a config of a group."""
        if key not in self._groups:
            self._groups[key] = bool(self._loader.get_group_options(key))
        return self._groups[key]

    def _needs_composition(self, override: Override) -> bool:
        return override.package is not None or override.key_or_group.startswith(
            _READ_BY_COMPOSITION
        )

    def _copy_of_template(self, master: DictConfig, groups: list[Override]) -> DictConfig:
        key = tuple(str(override.input_line) for override in groups)
        if key not in self._templates:
            composed = self._loader.load_sweep_config(master, list(key))
            self._templates[key] = pickle.dumps(composed, pickle.HIGHEST_PROTOCOL)
        # Six times faster than copy.deepcopy.
        copied: DictConfig = pickle.loads(self._templates[key])
        return copied


def _record_overrides(config: DictConfig, overrides: Sequence[Override]) -> None:
    """Notes the overrides in the ``hydra`` node, as Hydra's composition does."""
    hydra = config.hydra
    # The template's own hydra overrides are those of the command line.
    own = [override for override in overrides if not override.is_hydra_override()]
    hydra.overrides.task = [override.input_line for override in own]
    for override in overrides:
        if override.is_hydra_override():
            hydra.overrides.hydra.append(override.input_line)
    names = hydra.job.config.override_dirname
    hydra.job.override_dirname = get_overrides_dirname(
        overrides=own,
        kv_sep=names.kv_sep,
        item_sep=names.item_sep,
        exclude_keys=names.exclude_keys,
    )
