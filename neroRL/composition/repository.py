"""Hydra's repository of configs, made fast.

Hydra copies its repository for each composition, with every config that plugins have registered,
and reads each file anew. A sweep composes dozens of times before it starts.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

from hydra._internal.config_repository import ConfigRepository
from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.config_source import ConfigResult


class ReadOnceRepository(ConfigRepository):
    """Hydra's repository, which reads a config once, and whose copies share what was read."""

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        """Takes a search path; see Hydra's ``ConfigRepository``."""
        super().initialize_sources(config_search_path)
        self._read: dict[str, Callable[[], ConfigResult | None]] = {}

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Returns a config that the caller may change; see Hydra's ``ConfigRepository``."""
        if config_path not in self._read:
            self._read[config_path] = _copying(super().load_config(config_path))
        return self._read[config_path]()

    def __deepcopy__(self, memo: dict[int, Any]) -> ReadOnceRepository:
        """Returns a copy that shares what was read, until it takes a search path of its own."""
        return copy.copy(self)


def _copying(loaded: ConfigResult | None) -> Callable[[], ConfigResult | None]:
    """Returns a function that returns a copy; by pickle, where that works, since it is faster."""
    try:
        content = pickle.dumps(loaded, pickle.HIGHEST_PROTOCOL)
    # A launcher may have passed the class of a node by value: no module has it.
    except (pickle.PicklingError, AttributeError, TypeError):
        return lambda: copy.deepcopy(loaded)
    return lambda: pickle.loads(content)
