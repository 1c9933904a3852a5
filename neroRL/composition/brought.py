"""What an option of a config group brings: the contents of files, and choices of other groups.

An option's file may have a defaults list of its own. The option brings the configs in that list,
and the list's ``override`` entries choose options of other groups.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra.core.default_element import GroupDefault, InputDefault, ResultDefault
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from neroRL.composition.overrides import parse, value_text


@dataclass(frozen=True)
class Choosing:
    """The choices of one composition.

    Attributes:
        config_name: of the primary config.
        options: the chosen option of each group.
        texts: the override that chooses it.
        choosers: the group whose option chose it, where it was not the user.
        kind: the chosen environment type, if one is.
        overrides: all of the user's.
    """

    config_name: str | None
    options: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    choosers: dict[str, str] = field(default_factory=dict)
    kind: str | None = None
    overrides: Sequence[Override] = ()

    def chain(self, group: str) -> list[str]:
        """Returns the groups whose options led to the choice of one, itself included."""
        found = [group]
        while found[-1] in self.choosers:
            found.append(self.choosers[found[-1]])
        return found

    def beside(self, group: str, without: Sequence[str] = ()) -> list[str]:
        """Returns the overrides that choose options of other groups whether or not of this one.

        Args:
            group: left out, with what its option chose.
            without: further groups to leave out.
        """
        return [
            text
            for key, text in self.texts.items()
            if group not in self.chain(key) and key not in without
        ]


def unread(repo: IConfigRepository) -> CachingConfigRepository:
    """Returns an empty cache of the same files; compositions change the cached configs."""
    return CachingConfigRepository(
        repo.delegate if isinstance(repo, CachingConfigRepository) else repo
    )


def content(repo: IConfigRepository, group: str, option: str) -> dict[str, Any]:
    """Reads an option's file alone, as a part of a whole config."""
    loaded = repo.load_config(f"{group}/{option}")
    assert loaded is not None
    found: Any = OmegaConf.to_container(loaded.config)
    package = loaded.header.get("package") or "_group_"
    if package == "_global_":
        return dict(found)
    path = group.replace("/", ".") if package == "_group_" else package
    for key in reversed(path.split(".")):
        found = {key: found}
    return dict(found)


def has_defaults(repo: IConfigRepository, path: str) -> bool:
    """Returns whether a config's defaults list names anything but the config itself."""
    return any(not one.is_self() for one in _defaults_of(repo, path))


def below(defaults: Sequence[ResultDefault], path: str) -> list[ResultDefault]:
    """Returns the configs that a config brings, itself included, in the order of composition.

    Args:
        defaults: of a whole config that has the config.
        path: of the config, for instance ``model/memory/gru``.
    """
    parents = {one.config_path: one.parent for one in defaults}

    def is_below(one: str | None) -> bool:
        while one is not None and one != path:
            one = parents.get(one)
        return one is not None

    return [one for one in defaults if is_below(one.config_path)]


def chosen_by(repo: IConfigRepository, configs: Sequence[ResultDefault]) -> Iterator[Override]:
    """Yields the choices of other groups that configs make, as overrides of a command line."""
    for path in dict.fromkeys(str(one.config_path) for one in configs):
        for default in _defaults_of(repo, path):
            if isinstance(default, GroupDefault) and default.override and default.package is None:
                group = posixpath.join("/", posixpath.dirname(path), str(default.group))[1:]
                yield parse(f"{group}={value_text(default.value)}")


def _defaults_of(repo: IConfigRepository, path: str) -> Sequence[InputDefault]:
    loaded = repo.load_config(path)
    return [] if loaded is None else loaded.defaults_list or []
