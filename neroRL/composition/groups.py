"""The config groups of a search path, looked up when they are asked for.

A base config's directory may hold thousands of others, for instance the jobs of earlier sweeps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core.config_loader import ConfigLoader
from hydra.core.object_type import ObjectType

# Directories of sweeps have hidden ones and event files deep below; groups are never that deep.
MOST_LEVELS = 3
MOST_GROUPS = 1000


class ListingLoader(ConfigLoaderImpl):
    """Hydra's loader, which lists groups without copying all of its sources, of 40 ms each time."""

    def get_group_options(
        self,
        group_name: str,
        results_filter: ObjectType | None = ObjectType.CONFIG,
        config_name: str | None = None,
        overrides: list[str] | None = None,
    ) -> list[str]:
        """Returns the options of a group; see Hydra's ``ConfigLoader.get_group_options``."""
        if config_name is None and not overrides:
            repository = ConfigRepository(self.config_search_path)
            return repository.get_group_options(group_name, results_filter)
        return super().get_group_options(group_name, results_filter, config_name, overrides)


class ConfigGroups(Mapping[str, list[str]]):
    """The config groups, e.g. ``model/memory``, and the configs in each.

    Iterating yields at most a thousand groups of at most three levels.

    Args:
        loader: of the configs.
    """

    def __init__(self, loader: ConfigLoader) -> None:
        self._loader = loader
        self._known: dict[str, list[str] | None] = {}

    def __getitem__(self, group: str) -> list[str]:
        if group not in self._known:
            self._known[group] = self._options(group)
        options = self._known[group]
        if options is None:
            raise KeyError(group)
        return options

    def __iter__(self) -> Iterator[str]:
        for number, group in enumerate(self._below("", MOST_LEVELS)):
            if number == MOST_GROUPS:
                return
            yield group

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _options(self, group: str) -> list[str] | None:
        """Returns the configs in a group; None if there is no such group."""
        names = group.split("/")
        if names[0] == "hydra" or any(not name or name.startswith(".") for name in names):
            return None
        options: list[str] = self._loader.get_group_options(group)
        is_group = options or names[-1] in self._loader.list_groups("/".join(names[:-1]))
        return options if is_group else None

    def _below(self, parent: str, levels: int) -> Iterator[str]:
        for name in self._loader.list_groups(parent):
            group = f"{parent}/{name}" if parent else name
            if group == "hydra" or name.startswith("."):
                continue
            yield group
            if levels > 1:
                yield from self._below(group, levels - 1)
