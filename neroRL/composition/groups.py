"""The config groups of a search path, looked up when they are asked for.

A base config's directory may hold thousands of others, for instance the jobs of earlier sweeps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from hydra.core.config_loader import ConfigLoader

from neroRL.composition.overrides import override_key
from neroRL.texts import did_you_mean

# Directories of sweeps have hidden ones and event files deep below; groups are never that deep.
MOST_LEVELS = 3
MOST_GROUPS = 1000
SEARCH_PATH = "hydra.searchpath"


def option_problem(
    loader: ConfigLoader,
    config_name: str | None,
    overrides: Iterable[str],
    group: str,
    value: object,
) -> str | None:
    """Returns why a value chooses no config of a group; None if it does, or if there is no group.

    Args:
        loader: of the configs.
        config_name: of the primary config, which may have a search path of its own.
        overrides: beside the choice; they may add to the search path, too.
        group: name of the group; other keys have no problem.
        value: that is chosen, perhaps a config in a group below.
    """
    if not isinstance(value, str) or not (names := loader.get_group_options(group)):
        return None
    if value in names:
        return None
    below, _, name = f"{group}/{value}".rpartition("/")
    path = [text for text in overrides if override_key(text) == SEARCH_PATH]
    options = loader.get_group_options(below, config_name=config_name, overrides=path)
    return None if name in options else not_among(value, names)


def not_among(value: object, names: Sequence[str]) -> str:
    """Returns that a value is none of a group's configs, with near matches."""
    hint = did_you_mean(value, names) if isinstance(value, str) else ""
    listed = f"none of its configs: {', '.join(names)}" if names else "no map of its keys"
    return f"{value!r} is {listed}{hint}"


def is_option(groups: Mapping[str, Sequence[str]], group: str, value: object) -> bool:
    """Returns whether a value chooses a config of a group, or of one below."""
    below, _, name = f"{group}/{value}".rpartition("/")
    return isinstance(value, str) and name in groups.get(below, ())


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
