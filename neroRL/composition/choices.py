"""Makes a choice of a config group, or of an environment type, win over the base config.

Hydra merges an option of a group with the base config in the order of the defaults list, so a base
config with a recurrence would turn ``model/memory=none`` into a recurrent policy. Here the chosen
option sets the values in which the group's options differ, and the base config keeps the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from neroRL.composition.completion import complete
from neroRL.config.nested import flat
from neroRL.config.problems import leaf_paths
from neroRL.config.schema import MEMORIES, Config
from neroRL.environments import registry

ENVIRONMENT, TYPE, RESET_PARAMS = "environment", "environment.type", "environment.reset_params"
# Sections whose keys exist under some choices of a sweep only.
CONDITIONAL = (f"{RESET_PARAMS}.", *(f"model.{name}." for name in MEMORIES))
LAYER_TYPE = "model.recurrence.layer_type"
# Keys that distinguish the memories, and the types of environments.
EXCLUSIVE = frozenset({TYPE, LAYER_TYPE, *(f"model.{name}" for name in MEMORIES)})

_KEYS = tuple(leaf_paths(Config))
SECTIONS = frozenset(key for key in _KEYS if any(k.startswith(f"{key}.") for k in _KEYS))
"""The dotted paths of a config's sections."""

Flat = Mapping[str, Any]


def settled(
    options: Mapping[str, Mapping[str, Any]],
    chosen: str,
    base: Mapping[str, Any],
    declared: str | None,
) -> dict[str, Any]:
    """Returns the values of a chosen option beside a base config, by their dotted paths.

    The option's value is used where it distinguishes the option from the others of its group, and
    where it differs from the option of the base config. Otherwise the base config's value is used:
    choosing ``lstm`` instead of ``gru`` changes only the type of the layer.

    Args:
        options: the contents of all options of the group, each as a part of a whole config.
        chosen: one of them.
        base: the whole base config, composed without the choice.
        declared: the option in the base config's own defaults list, if any.

    Returns:
        Values by dotted path. A section that the option turns off is None.

    Example:
        >>> gru = {"recurrence": {"layer_type": "gru", "hidden_state_size": 128}}
        >>> base = {"model": {"recurrence": {"layer_type": "gru", "hidden_state_size": 48}}}
        >>> options = {"gru": {"model": gru}, "none": {"model": {"recurrence": None}}}
        >>> settled(options, "none", base, None)["model.recurrence"] is None
        True
        >>> settled(options, "gru", base, None)["model.recurrence.hidden_state_size"]
        48
    """
    sections = _sections(options.values())
    contents = {name: flat(_completed(option, sections)) for name, option in options.items()}
    there = flat(complete(base))
    nearest = contents.get(_nearest(contents, sections, there, declared) or "", {})
    written = contents.get(declared or "", {})
    apart = _telling(list(contents.values()), sections)

    def is_kept(path: str, value: Any) -> bool:
        reference = nearest if path.startswith(sections) else written
        is_shared = _same(reference.get(path, _ABSENT), value)
        return is_shared and path in there and path not in apart

    return {
        path: there[path] if is_kept(path, value) else value
        for path, value in contents[chosen].items()
    }


def telling(options: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Returns the paths in which the options of a group differ.

    Args:
        options: the contents of all options, each as a part of a whole config.
    """
    sections = _sections(options)
    return _telling([flat(_completed(option, sections)) for option in options], sections)


def chooses_kind(option: Mapping[str, Any]) -> bool:
    """Returns whether an option names a memory, or none, or the type of an environment."""
    return _names_kind(flat(option))


def turns_off(values: Flat) -> bool:
    """Returns whether the values of a choice leave a policy without a memory."""
    return all(values.get(f"model.{name}", _ABSENT) is None for name in MEMORIES)


def with_type(kind: str, base: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the reset parameters of an environment type beside a base config.

    Args:
        kind: the chosen type.
        base: the whole base config, composed without the choice.

    Returns:
        Those of the type, with the base config's values if both types share the default.
    """
    given = dict(complete(base)[ENVIRONMENT])
    params = given.pop("reset_params")
    if not isinstance(params, Mapping) or given["type"] == kind:
        return dict(params or {})
    was, now = (
        complete({ENVIRONMENT: {"type": name}})[ENVIRONMENT]["reset_params"]
        for name in (given["type"], kind)
    )
    return {
        key: params[key] if key in params and _same(was.get(key, _ABSENT), value) else value
        for key, value in now.items()
    }


def takes_any_parameter(kind: object) -> bool:
    """Returns whether an environment type has reset parameters that it does not know."""
    known = isinstance(kind, str) and kind in registry.TYPES
    return known and registry.environment_type(str(kind)).any_parameters


class _Absent:
    pass


_ABSENT = _Absent()


def _sections(options: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Returns the sections whose kind the options choose: the environment, or all memories.

    A group whose options only set numbers of an environment or a recurrence chooses no kind.
    """
    found: list[str] = []
    given = [flat(option) for option in options]
    if any(TYPE in values for values in given):
        found.append(f"{ENVIRONMENT}.")
    off = {f"model.{name}" for name in MEMORIES}
    if any(off & values.keys() or LAYER_TYPE in values for values in given):
        found += sorted(off)
    return tuple(found)


def _completed(option: Mapping[str, Any], sections: tuple[str, ...]) -> dict[str, Any]:
    """Returns the option's content, with the defaults it leaves out of the sections it chooses.

    An option that leaves the kind itself out has that of the base config.
    """
    whole = complete(option)
    content = {key: dict(value) if isinstance(value, Mapping) else value
               for key, value in option.items()}  # fmt: skip
    values = flat(option)
    if TYPE in values and f"{ENVIRONMENT}." in sections:
        content[ENVIRONMENT] = whole[ENVIRONMENT]
    model = option.get("model")
    if not isinstance(model, Mapping) or "model.recurrence" not in sections:
        return content
    if _names_memory(values):
        content["model"] |= {name: whole["model"][name] for name in MEMORIES}
    return content


def _names_kind(values: Flat) -> bool:
    """Returns whether values name the type of an environment, or a memory, or none."""
    return TYPE in values or _names_memory(values)


def _names_memory(values: Flat) -> bool:
    """Returns whether values name a memory, or none.

    A recurrence is named by its layer; it may be changed without being named.
    """
    recurrence = LAYER_TYPE.rpartition(".")[0]
    others = tuple(f"model.{name}." for name in MEMORIES if f"model.{name}" != recurrence)
    is_named = LAYER_TYPE in values or any(path.startswith(others) for path in values)
    return is_named or values.get(recurrence, _ABSENT) is None


def _nearest(
    contents: Mapping[str, Flat], sections: tuple[str, ...], base: Flat, declared: str | None
) -> str | None:
    """Returns the option that the base config has, by its defaults list or by its values."""
    kinds = {
        name: {path: value for path, value in values.items() if path.startswith(sections)}
        for name, values in contents.items()
    }
    fitting = [
        name
        for name, values in kinds.items()
        if _names_kind(values) and values.keys() <= base.keys()
    ]
    if declared in fitting:
        return declared
    # The nearest option shares the most values with the base config.
    return max(
        fitting,
        key=lambda name: sum(_same(base[path], value) for path, value in kinds[name].items()),
        default=None,
    )


def _telling(contents: Sequence[Flat], sections: tuple[str, ...]) -> frozenset[str]:
    """Returns the keys that distinguish kinds, and the other paths whose values differ."""
    given = {path for values in contents for path in values}
    return frozenset(
        path
        for path in EXCLUSIVE
        if path.startswith(sections) and any(f"{one}.".startswith(f"{path}.") for one in given)
    ) | frozenset(
        path
        for values in contents
        for path, value in values.items()
        if not path.startswith(sections)
        and any(path in other and not _same(other[path], value) for other in contents)
    )


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)
