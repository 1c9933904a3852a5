"""Hydra's config loader, in which choices win over the base config."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import hydra._internal.hydra as hydra_main
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra._internal.defaults_list import create_defaults_list
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import ResultDefault
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override, OverrideType
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from neroRL.composition.checking import as_written
from neroRL.composition.choices import (
    CONDITIONAL,
    ENVIRONMENT,
    RESET_PARAMS,
    SECTIONS,
    TYPE,
    chooses_kind,
    settled,
    takes_any_parameter,
    telling,
    with_type,
)
from neroRL.composition.groups import option_problem
from neroRL.composition.overrides import parse
from neroRL.composition.repository import ReadOnceRepository
from neroRL.errors import UsageError
from neroRL.patching import patched


@dataclass(frozen=True)
class _Choosing:
    """The choices in the overrides of one composition.

    Attributes:
        config_name: of the primary config.
        options: the chosen option of each group.
        kind: the chosen environment type, if one is.
        overrides: all of them.
    """

    config_name: str
    options: Mapping[str, str] = field(default_factory=dict)
    kind: str | None = None
    overrides: Sequence[Override] = ()


class ChoosingLoader(ConfigLoaderImpl):
    """Hydra's loader, in which choices win; see :mod:`neroRL.composition.choices`."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.repository = ReadOnceRepository(config_search_path)
        self._choosing: _Choosing | None = None
        self._without: dict[tuple[str, ...], tuple[dict[str, Any], str | None]] = {}

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
        held_back = []
        if run_mode == RunMode.MULTIRUN:
            held_back = [text for text in overrides if _is_conditional(text)]
        elif config_name is not None:
            self._choosing = self._choices(config_name, overrides)
        now = [text for text in overrides if text not in held_back]
        try:
            config = super().load_configuration(
                config_name, now, run_mode, from_shell, validate_sweep_overrides
            )
        finally:
            self._choosing = None
        if held_back:
            hydra = config.hydra.overrides.hydra
            config.hydra.overrides.task = [text for text in overrides if text not in hydra]
        return config

    def telling(self, group: str) -> frozenset[str]:
        """Returns the paths in which the options of a group differ; none for other keys."""
        return telling(list(_contents(_unread(self.repository), group).values()))

    def _check_choices(self, config_name: str | None, overrides: Sequence[str]) -> None:
        for override in map(parse, overrides):
            key = override.key_or_group
            if override.is_sweep_override() or override.is_delete() or not self._is_group(key):
                continue
            value = override.value()
            is_section = key in SECTIONS and isinstance(value, dict)
            if not is_section and not isinstance(value, str | list):
                known = ", ".join(self.get_group_options(key))
                message = f"{key} is a group of configs; expected one of {known}"
                raise UsageError(f"{override.input_line}: {message}")
            for option in value if isinstance(value, list) else [value]:
                problem = option_problem(self, config_name, overrides, key, option)
                if problem is not None:
                    raise UsageError(f"{override.input_line}: {problem}")

    def _choices(self, config_name: str, overrides: Sequence[str]) -> _Choosing:
        options: dict[str, str] = {}
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
                options[key] = value
        return _Choosing(config_name, options, kind, parsed)

    def _is_group(self, key: str) -> bool:
        return bool(self.get_group_options(key))

    def _compose_config_from_defaults_list(
        self, defaults: list[ResultDefault], repo: IConfigRepository
    ) -> DictConfig:
        config = super()._compose_config_from_defaults_list(defaults, repo)
        choosing = self._choosing
        if choosing is None:
            return config
        unread = _unread(repo)
        groups = [(group, _contents(unread, group)) for group in choosing.options]
        # A memory that is turned off stays off, whatever other choices set in it.
        for group, options in sorted(groups, key=lambda pair: chooses_kind(pair[1].values())):
            option = choosing.options[group]
            base, declared = self._without_choice(choosing, group, repo)
            if option in options:
                _write(config, settled(options, option, base, declared), base)
        if choosing.kind is not None:
            params = with_type(choosing.kind, as_written(config))
            with open_dict(config):
                config[ENVIRONMENT].reset_params = params
        make_room(config, choosing.overrides, choosing.kind)
        return config

    def _without_choice(
        self, choosing: _Choosing, group: str, repo: IConfigRepository
    ) -> tuple[dict[str, Any], str | None]:
        """Returns the config without the choice of a group, and the option that it declares.

        The choices of other groups recur with each option of this one, so they are kept.
        """
        others = [f"{key}={value}" for key, value in choosing.options.items() if key != group]
        sources = [f"{source.scheme()}://{source.path}" for source in repo.get_sources()]
        key = (choosing.config_name, group, *others, *sources)
        if key not in self._without:
            unread = _unread(repo)
            listed = create_defaults_list(
                repo=unread,
                config_name=choosing.config_name,
                overrides_list=[parse(text) for text in others],
                prepend_hydra=True,
                skip_missing=True,
            )
            # The ``hydra`` node, by far the largest, is not asked for.
            read = [one for one in listed.defaults if str(one.package).split(".")[0] != "hydra"]
            composed = super()._compose_config_from_defaults_list(read, unread)
            declared = listed.overrides.known_choices.get(group)
            self._without[key] = as_written(composed), declared
        return self._without[key]


def make_room(config: DictConfig, overrides: Iterable[Override], kind: str | None = None) -> None:
    """Adds the reset parameters that overrides set, if the environment's type takes any.

    Args:
        config: a composed config, before the overrides change it.
        overrides: of the config.
        kind: the environment type that the overrides choose, if they choose one.
    """
    names = [
        name
        for override in overrides
        if override.type is OverrideType.CHANGE
        for name in _reset_params(override)
    ]
    if not names:
        return
    if kind is None:
        kind = OmegaConf.select(config, TYPE, throw_on_resolution_failure=False)
    params = OmegaConf.select(config, RESET_PARAMS)
    if takes_any_parameter(kind) and isinstance(params, DictConfig):
        with open_dict(config):
            for name in names:
                params.setdefault(name, None)


def _reset_params(override: Override) -> list[str]:
    """Returns the names of the reset parameters that an override sets."""
    key, value = override.key_or_group, override.value()
    if key == ENVIRONMENT and isinstance(value, dict):
        key, value = RESET_PARAMS, value.get("reset_params")
    if key == RESET_PARAMS and isinstance(value, dict):
        return [str(name) for name in value]
    name = key.removeprefix(f"{RESET_PARAMS}.")
    return [name] if name != key and "." not in name else []


def _is_conditional(text: str) -> bool:
    """Returns whether an override may apply to some jobs only, so that only jobs take it."""
    override = parse(text)
    return override.key_or_group.startswith(CONDITIONAL) or bool(_reset_params(override))


@contextlib.contextmanager
def choices_hold() -> Iterator[None]:
    """Makes Hydra compose with :class:`ChoosingLoader` while the block runs."""
    with patched(hydra_main, "ConfigLoaderImpl", ChoosingLoader):
        yield


def _unread(repo: IConfigRepository) -> CachingConfigRepository:
    """Returns an empty cache of the same files; compositions change the cached configs."""
    return CachingConfigRepository(
        repo.delegate if isinstance(repo, CachingConfigRepository) else repo
    )


def _contents(repo: IConfigRepository, group: str) -> dict[str, dict[str, Any]]:
    """Returns the content of each option of a group; none for other keys."""
    names = repo.get_group_options(group, ObjectType.CONFIG)
    return {name: _content(repo, group, name) for name in names}


def _content(repo: IConfigRepository, group: str, option: str) -> dict[str, Any]:
    """Reads an option's file as a part of a whole config."""
    loaded = repo.load_config(f"{group}/{option}")
    assert loaded is not None
    content: Any = OmegaConf.to_container(loaded.config)
    package = loaded.header.get("package") or "_group_"
    if package == "_global_":
        return dict(content)
    path = group.replace("/", ".") if package == "_group_" else package
    for key in reversed(path.split(".")):
        content = {key: content}
    return dict(content)


def _write(config: DictConfig, values: Mapping[str, Any], base: Mapping[str, Any]) -> None:
    """Sets the values of a chosen option, and removes those of another type."""
    with open_dict(config):
        for path, value in values.items():
            OmegaConf.update(config, path, value, merge=False, force_add=True)
        kind = values.get(TYPE)
        if kind is not None and kind != base.get(ENVIRONMENT, {}).get("type"):
            for key in list(config[ENVIRONMENT].reset_params):
                if f"{RESET_PARAMS}.{key}" not in values:
                    del config[ENVIRONMENT].reset_params[key]
