"""Hydra's repository of configs, made fast.

Hydra copies its repository for each composition, with every config that plugins have registered,
and reads each file anew. A sweep composes dozens of times before it starts.
"""

from __future__ import annotations

import copy
import pickle
from typing import Any

from hydra._internal.config_repository import ConfigRepository
from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.config_source import ConfigResult


class ReadOnceRepository(ConfigRepository):
    """Hydra's repository, which reads a config once, and whose copies share what was read."""

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        """Takes a search path; see Hydra's ``ConfigRepository``."""
        super().initialize_sources(config_search_path)
        self._read: dict[str, bytes] = {}

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Returns a config that the caller may change; see Hydra's ``ConfigRepository``."""
        if config_path not in self._read:
            loaded = super().load_config(config_path)
            self._read[config_path] = pickle.dumps(loaded, pickle.HIGHEST_PROTOCOL)
        copied: ConfigResult | None = pickle.loads(self._read[config_path])
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> ReadOnceRepository:
        """Returns a copy that shares what was read, until it takes a search path of its own."""
        return copy.copy(self)
