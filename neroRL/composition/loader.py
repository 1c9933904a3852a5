"""Hydra's config loader, in which choices win over the base config."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import hydra._internal.hydra as hydra_main
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.defaults_list import DefaultsList, create_defaults_list
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import ResultDefault
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict

from neroRL.composition.brought import Choosing, below, chosen_by, content, has_defaults, unread
from neroRL.composition.checking import as_written
from neroRL.composition.choices import (
    ENVIRONMENT,
    SECTIONS,
    TYPE,
    chooses_kind,
    settled,
    telling,
    turns_off,
    with_type,
)
from neroRL.composition.conditional import is_conditional, make_room, write
from neroRL.composition.groups import SEARCH_PATH, option_problem
from neroRL.composition.overrides import override_key, parse, value_text
from neroRL.composition.repository import ReadOnceRepository
from neroRL.errors import UsageError
from neroRL.patching import patched


class ChoosingLoader(ConfigLoaderImpl):
    """Hydra's loader, in which choices win; see :mod:`neroRL.composition.choices`."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.repository = ReadOnceRepository(config_search_path)
        self._choosing: Choosing | None = None
        self._primary: str | None = None
        self._without: dict[tuple[str, ...], tuple[dict[str, Any], str | None]] = {}
        self._brought: dict[tuple[str, ...], dict[str, Any]] = {}

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Composes a config; see Hydra's ``ConfigLoader.load_configuration``.

        Raises:
            UsageError: an override chooses no config of its group by name.
        """
        self._check_choices(config_name, overrides)
        self._primary = config_name
        held_back, further = [], []
        if run_mode == RunMode.MULTIRUN:
            held_back = [text for text in overrides if is_conditional(text)]
        elif config_name is not None:
            self._choosing = self._choices(config_name, overrides)
            further = [self._choosing.texts[group] for group in self._choosing.choosers]
        now = [*further, *(text for text in overrides if text not in held_back)]
        try:
            config = super().load_configuration(
                config_name, now, run_mode, from_shell, validate_sweep_overrides
            )
        finally:
            self._choosing = None
        if held_back or further:
            hydra = config.hydra.overrides.hydra
            given = [text for text in overrides if text not in hydra]
            config.hydra.overrides.task = given
            config.hydra.job.override_dirname = override_dirname(config, map(parse, given))
        return config

    def telling(self, group: str) -> frozenset[str]:
        """Returns the paths that the options of a group decide; none for other keys."""
        choosing, repo = Choosing(self._primary), unread(self.repository)
        contents = self._contents(choosing, group, repo)
        found = telling(list(contents.values()))
        for option in contents:
            with contextlib.suppress(HydraException):  # one that cannot be composed decides nothing
                for override in self._further(choosing, group, option, repo):
                    further = self._contents(choosing, override.key_or_group, repo)
                    found |= telling(list(further.values()))
        return found

    def _check_choices(self, config_name: str | None, overrides: Sequence[str]) -> None:
        for override in map(parse, overrides):
            key = override.key_or_group
            if override.is_delete() or not self._is_group(key):
                continue
            if override.package is not None:
                message = f"{key} is a group of configs, which cannot be chosen at another package"
                raise UsageError(f"{override.input_line}: {message}")
            if override.is_sweep_override():
                continue
            value = override.value()
            is_section = key in SECTIONS and isinstance(value, dict)
            if not is_section and not isinstance(value, str):
                known = ", ".join(self.get_group_options(key))
                message = f"{key} is a group of configs; expected one of {known}"
                raise UsageError(f"{override.input_line}: {message}")
            problem = option_problem(self, config_name, overrides, key, value)
            if problem is not None:
                raise UsageError(f"{override.input_line}: {problem}")

    def _choices(self, config_name: str, overrides: Sequence[str]) -> Choosing:
        options: dict[str, str] = {}
        texts: dict[str, str] = {}
        kind = None
        parsed = [parse(text) for text in overrides]
        for override in parsed:
            key = override.key_or_group
            if override.is_sweep_override() or override.is_delete() or override.package is not None:
                continue
            value = override.value()
            if key == TYPE:
                kind = str(value)
            elif key == ENVIRONMENT and isinstance(value, dict):
                kind = str(value["type"]) if "type" in value else kind
            elif isinstance(value, str) and not key.startswith("hydra") and self._is_group(key):
                options[key], texts[key] = value, str(override.input_line)
        choosing = Choosing(config_name, options, texts, {}, kind, parsed)
        path = [text for text in overrides if override_key(text) == SEARCH_PATH]
        repo = self._parse_overrides_and_create_caching_repo(config_name, path)[1]
        return self._with_further_choices(choosing, repo)

    def _with_further_choices(self, choosing: Choosing, repo: IConfigRepository) -> Choosing:
        """Adds the choices that the chosen options make in their defaults lists.

        A choice of the user's own wins over them, and they win over the base config.
        """
        options, texts, choosers = dict[str, str](), dict[str, str](), dict[str, str]()
        deleted = {one.key_or_group for one in choosing.overrides if one.is_delete()}
        todo = list(choosing.options.items())
        while todo:
            group, option = todo.pop(0)
            for override in self._further(choosing, group, option, repo):
                key, chosen = override.key_or_group, str(override.value())
                if key not in choosing.options.keys() | choosers.keys() | deleted:
                    options[key], texts[key] = chosen, str(override.input_line)
                    choosers[key] = group
                    todo.append((key, chosen))
        return replace(
            choosing,
            options=options | choosing.options,
            texts=texts | choosing.texts,
            choosers=choosers,
        )

    def _further(
        self, choosing: Choosing, group: str, option: str, repo: IConfigRepository
    ) -> list[Override]:
        """Returns the choices of other groups that an option makes."""
        path = f"{group}/{option}"
        if not has_defaults(repo, path):
            return []
        listed = self._listed_with(choosing, group, option, unread(repo)).defaults
        return [
            override
            for override in chosen_by(repo, below(listed, path))
            if not override.key_or_group.startswith("hydra/")
            and repo.config_exists(f"{override.key_or_group}/{override.value()}")
        ]

    def _is_group(self, key: str) -> bool:
        return bool(self.get_group_options(key))

    def _compose_config_from_defaults_list(
        self, defaults: list[ResultDefault], repo: IConfigRepository
    ) -> DictConfig:
        config = super()._compose_config_from_defaults_list(defaults, repo)
        choosing = self._choosing
        if choosing is None:
            return config
        chosen = []
        for group, option in choosing.options.items():
            options = self._contents(choosing, group, unread(repo))
            base, declared = self._without_choice(choosing, group, repo)
            values = settled(options, option, base, declared)
            # An option changes what it chose itself, and what options that name a kind of memory
            # or environment set. A memory that is turned off stays off.
            is_users = group not in choosing.choosers
            rank = turns_off(values), is_users, not chooses_kind(options[option])
            chosen.append((rank, values, base))
        for _, values, base in sorted(chosen, key=lambda one: one[0]):
            write(config, values, base)
        if choosing.kind is not None:
            params = with_type(choosing.kind, as_written(config))
            with open_dict(config):
                config[ENVIRONMENT].reset_params = params
        make_room(config, choosing.overrides, choosing.kind)
        return config

    def _without_choice(
        self, choosing: Choosing, group: str, repo: IConfigRepository
    ) -> tuple[dict[str, Any], str | None]:
        """Returns the config without the choice of a group, and the option that it declares.

        The choices of other groups recur with each option of this one, so they are kept.
        """
        others = choosing.beside(group)
        key = _key_of(choosing, group, others, repo)
        if key not in self._without:
            if group in choosing.choosers:
                others = self._unchosen(choosing, group, repo)
            cached = unread(repo)
            listed = self._listed(choosing.config_name, others, cached)
            # The ``hydra`` node, by far the largest, is not asked for.
            read = [one for one in listed.defaults if str(one.package).split(".")[0] != "hydra"]
            composed = super()._compose_config_from_defaults_list(read, cached)
            self._without[key] = as_written(composed), listed.overrides.known_choices.get(group)
        return self._without[key]

    def _unchosen(self, choosing: Choosing, group: str, repo: IConfigRepository) -> list[str]:
        """Returns the overrides beside a group that an option chose of, without that choice."""
        alone = choosing.beside(group, choosing.chain(group))
        listed = self._listed(choosing.config_name, alone, unread(repo))
        declared = listed.overrides.known_choices.get(group)
        if declared is None:
            return alone
        return [*choosing.beside(group), f"{group}={value_text(declared)}"]

    def _contents(
        self, choosing: Choosing, group: str, repo: IConfigRepository
    ) -> dict[str, dict[str, Any]]:
        """Returns what each option of a group brings; none for other keys."""
        names = repo.get_group_options(group, ObjectType.CONFIG)
        chosen = choosing.options.get(group)
        if chosen is not None and chosen not in names:  # one in a group below
            names = [*names, chosen]
        return {name: self._content(choosing, group, name, repo) for name in names}

    def _content(
        self, choosing: Choosing, group: str, option: str, repo: IConfigRepository
    ) -> dict[str, Any]:
        """Returns what an option of a group brings, as a part of a whole config."""
        path = f"{group}/{option}"
        if not has_defaults(repo, path):
            return content(repo, group, option)
        others = choosing.beside(group)
        key = _key_of(choosing, path, others, repo)
        if key not in self._brought:
            cached = unread(repo)
            try:
                listed = self._listed_with(choosing, group, option, cached).defaults
                composed = super()._compose_config_from_defaults_list(below(listed, path), cached)
            except HydraException:  # of one that is not chosen, which Hydra has not composed
                return content(repo, group, option)
            self._brought[key] = as_written(composed)
        return self._brought[key]

    def _listed_with(
        self, choosing: Choosing, group: str, option: str, repo: IConfigRepository
    ) -> DefaultsList:
        """Returns the defaults list with an option of a group."""
        sign = "+" if choosing.texts.get(group, "").startswith("+") else ""
        chosen = f"{sign}{group}={value_text(option)}"
        return self._listed(choosing.config_name, [*choosing.beside(group), chosen], repo)

    def _listed(
        self, config_name: str | None, overrides: Iterable[str], repo: IConfigRepository
    ) -> DefaultsList:
        return create_defaults_list(
            repo=repo,
            config_name=config_name,
            overrides_list=[parse(text) for text in overrides],
            prepend_hydra=True,
            skip_missing=True,
        )


def override_dirname(config: DictConfig, overrides: Iterable[Override]) -> str:
    """Returns the overrides as Hydra writes them in names of directories."""
    names = config.hydra.job.config.override_dirname
    written: str = get_overrides_dirname(
        list(overrides), names.exclude_keys, names.item_sep, names.kv_sep
    )
    return written


def _key_of(
    choosing: Choosing, name: str, overrides: Sequence[str], repo: IConfigRepository
) -> tuple[str, ...]:
    sources = [f"{source.scheme()}://{source.path}" for source in repo.get_sources()]
    return (str(choosing.config_name), name, *overrides, *sources)


@contextlib.contextmanager
def choices_hold() -> Iterator[None]:
    """Makes Hydra compose with :class:`ChoosingLoader` while the block runs."""
    with patched(hydra_main, "ConfigLoaderImpl", ChoosingLoader):
        yield
