"""Makes a choice of a config group, or of an environment type, hold beside a base config.

Hydra merges an option of a group with the base config in the order of the defaults list, so a base
config that says something about a recurrence turns ``model/memory=none`` into a recurrent policy.
Here a chosen option is what it says, and the base config keeps its word about the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from neroRL.composition.completion import MEMORIES, complete
from neroRL.config.checks import flat

ENVIRONMENT, TYPE, RESET_PARAMS = "environment", "environment.type", "environment.reset_params"
# Where keys stand that only some choices of a sweep have.
CONDITIONAL = (f"{RESET_PARAMS}.", *(f"model.{name}." for name in MEMORIES))
# What tells memories, and environments, apart.
EXCLUSIVE = frozenset(
    {TYPE, "model.recurrence.layer_type", *(f"model.{name}" for name in MEMORIES)}
)

Flat = Mapping[str, Any]


def settled(
    options: Mapping[str, Mapping[str, Any]],
    chosen: str,
    base: Mapping[str, Any],
    declared: str | None,
) -> dict[str, Any]:
    """Returns the values a chosen option has beside a base config, by their dotted paths.

    A value of the option holds where it tells the option from the others of its group, and where
    it differs from the option that the base config has. Everywhere else the base config's word
    holds: choosing ``lstm`` instead of ``gru`` changes the type of the layer and nothing else.

    Args:
        options: the contents of all options of the group, each as a part of a whole config.
        chosen: one of them.
        base: the whole base config, composed without the choice.
        declared: the option in the base config's own defaults list, if any.

    Returns:
        Values by dotted path. A section that the option turns off is None.

    Example:
        >>> gru, none = {"recurrence": {"hidden_state_size": 128}}, {"recurrence": None}
        >>> base = {"model": {"recurrence": {"layer_type": "gru", "hidden_state_size": 48}}}
        >>> options = {"gru": {"model": gru}, "none": {"model": none}}
        >>> settled(options, "none", base, None)["model.recurrence"] is None
        True
        >>> settled(options, "gru", base, None)["model.recurrence.hidden_state_size"]
        48
    """
    contents = {name: flat(_completed(option)) for name, option in options.items()}
    values = contents[chosen]
    there = flat(complete(base))
    reference = contents.get(_reference(contents, there, declared) or "", {})
    identity = _telling(list(contents.values()))
    kept = {
        path
        for path, value in values.items()
        if path not in identity and path in there and _same(reference.get(path, _ABSENT), value)
    }
    return {path: there[path] if path in kept else value for path, value in values.items()}


def telling(options: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Returns the paths whose values tell the options of a group apart.

    Args:
        options: the contents of all options, each as a part of a whole config.
    """
    return _telling([flat(_completed(option)) for option in options])


def with_type(kind: str, base: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the reset parameters of an environment type beside a base config.

    Args:
        kind: the chosen type.
        base: the whole base config, composed without the choice.

    Returns:
        Those of the type, with the base config's values where both types share the default.
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


class _Absent:
    pass


_ABSENT = _Absent()


def _completed(option: Mapping[str, Any]) -> dict[str, Any]:
    """The option's content; of a memory or an environment, with the defaults it leaves out."""
    whole = complete(option)
    content = {key: dict(value) if isinstance(value, Mapping) else value
               for key, value in option.items()}  # fmt: skip
    if ENVIRONMENT in option:
        content[ENVIRONMENT] = whole[ENVIRONMENT]
    model = option.get("model")
    if isinstance(model, Mapping) and any(name in model for name in MEMORIES):
        content["model"] = {**model, **{name: whole["model"][name] for name in MEMORIES}}
    return content


def _reference(contents: Mapping[str, Flat], base: Flat, declared: str | None) -> str | None:
    """The option that the base config has, chosen by its defaults list or written out."""
    fitting = [name for name, values in contents.items() if values.keys() <= base.keys()]
    if declared in fitting or not _is_exclusive(contents.values()):
        return declared
    # The more of an option's values a base config has, the nearer it is.
    return max(
        fitting,
        key=lambda name: sum(_same(base[path], value) for path, value in contents[name].items()),
        default=None,
    )


def _is_exclusive(contents: Iterable[Flat]) -> bool:
    """Whether the options are memories or environments, of which a config has one."""
    sections = (f"{ENVIRONMENT}.", *(f"model.{name}" for name in MEMORIES))
    return any(path.startswith(sections) for values in contents for path in values)


def _telling(contents: Sequence[Flat]) -> frozenset[str]:
    if _is_exclusive(contents):
        return frozenset(
            path
            for path in EXCLUSIVE
            if any(f"{given}.".startswith(f"{path}.") for values in contents for given in values)
        )
    return frozenset(
        path
        for values in contents
        for path, value in values.items()
        if any(path in other and not _same(other[path], value) for other in contents)
    )


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)
