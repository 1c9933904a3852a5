"""Hydra's grammar of overrides, with functions that work as Hydra's documentation says.

In Hydra 1.3, ``sort`` with ``reverse`` gives numbers that the range does not have, a cast
undoes ``shuffle``, ``sort`` does not undo it, a range of decimals drifts, strings in ``choice``
lose their quotes, and ``shuffle`` of a list gives another list each time it is read.
"""

from __future__ import annotations

import functools
import math
import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from hydra._internal.grammar import grammar_functions as hydras
from hydra._internal.grammar.functions import FunctionCall
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.core.override_parser.overrides_visitor import HydraOverrideVisitor
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, RangeSweep, Sweep
from hydra.errors import HydraException, OverrideParseException
from hydra.grammar.gen.OverrideParser import OverrideParser
from omegaconf import base, grammar_parser

from neroRL.config.documents import DEEPEST
from neroRL.errors import UsageError
from neroRL.texts import LONGEST_NAME, shortened

Number = int | float
_CASTS = ("int", "float", "str", "bool")
_LEXER = "LexerNoViableAltException: "
_EVALUATING = re.compile(r"\w+ while evaluating '.*': ")


def parser(loader: ConfigLoader | None = None) -> OverridesParser:
    """Returns a parser of overrides.

    Args:
        loader: knows the choices of config groups, for ``glob``.
    """
    functions = create_functions()
    own: dict[str, Callable[..., Any]] = {"range": _range, "sort": _sort, "shuffle": _shuffle}
    casts = {name: _keeping_order(functions.functions[name]) for name in _CASTS}
    functions.functions.update({**own, **casts})
    return OverridesParser(functions, loader)


def remember_interpolations() -> None:
    """Has OmegaConf parse the text of an interpolation only once in this process.

    The jobs of a worker resolve the same ones, and their parser is most of the cost.
    """
    setattr(base, "parse", functools.lru_cache(grammar_parser.parse))  # noqa: B010 - not typed


def parse_all(texts: Sequence[str], loader: ConfigLoader | None = None) -> list[Override]:
    """Parses the overrides of a command line.

    Raises:
        UsageError: an override is malformed; the message names it.
    """
    ours = parser(loader)
    found = []
    for text in texts:
        try:
            (override,) = ours.parse_overrides([text])
        except OverrideParseException as error:
            raise UsageError(f"{shortened(text)}: {_reason(error)}") from None
        except RecursionError:
            raise UsageError(f"{shortened(text)}: nested more than {DEEPEST} deep") from None
        except ValueError as error:  # Python limits the digits of an integer
            raise UsageError(f"{shortened(text)}: {str(error).split(';')[0]}") from None
        if len(override.get_key_element()) > LONGEST_NAME:  # it may be looked up as a file's
            raise UsageError(f"{shortened(text)}: keys have at most {LONGEST_NAME} characters")
        if _depth(override.value()) > DEEPEST:
            raise UsageError(f"{shortened(text)}: nested more than {DEEPEST} deep")
        if _holds_sweep(override.value()):
            raise UsageError(f"{shortened(text)}: a sweep cannot be a part of another value")
        if override.is_sweep_override() and override.is_hydra_override():
            message = "an option of Hydra cannot be swept; a list has brackets"
            raise UsageError(f"{shortened(text)}: {message}")
        found.append(override)
    return found


def elements(override: Override, most: int) -> list[Any]:
    """Returns the values of a sweep, in order.

    The order of ``shuffle`` depends only on the text of the override, so the same command has the
    same order.

    Args:
        override: a sweep over choices or a range, parsed by :func:`parser`.
        most: largest length of a range.

    Raises:
        UsageError: there are none, or too many.
    """
    sweep, text = override.value(), str(override.input_line)
    values: list[Any]
    if isinstance(sweep, Range):
        if sweep.count() > most:
            message = f"has {sweep.count():,} choices; hydra.sweeper.max_jobs allows {most:,}"
            raise UsageError(f"{shortened(text)}: {message}")
        values = sweep.values()
    elif isinstance(sweep, ChoiceSweep):
        values = [Override._convert_value(element) for element in sweep.list]
    else:
        values = list(override.sweep_iterator())
    if not values:
        down = "; a range that counts down has a negative step" if isinstance(sweep, Range) else ""
        raise UsageError(f"{shortened(text)}: has no choices{down}")
    if isinstance(sweep, Range | ChoiceSweep) and sweep.shuffle:
        random.Random(text).shuffle(values)
    return values


@dataclass
class Range(RangeSweep):
    """A range of Hydra's grammar, ``r[i] = start + step * i``, computed without rounding.

    Attributes:
        backwards: whether the last number comes first.
    """

    backwards: bool = False

    def __post_init__(self) -> None:
        numbers = [self.start, self.stop, self.step]
        if not all(number is not None and math.isfinite(number) for number in numbers):
            raise ValueError("a range has finite numbers")
        if not self.step:
            raise ValueError("the step of a range must not be 0")

    def count(self) -> int:
        """Counts the numbers, which may be more than fit into memory."""
        start, stop, step = self._exact()
        return max(math.ceil((stop - start) / step), 0)

    def values(self) -> list[Any]:
        """Returns integers if start, stop and step are, else the floats nearest to the decimals."""
        start, _, step = self._exact()
        kind = int if all(isinstance(n, int) for n in (self.start, self.stop, self.step)) else float
        found = [kind(start + step * index) for index in range(self.count())]
        return found[::-1] if self.backwards else found

    def _exact(self) -> tuple[Fraction, ...]:
        numbers = (self.start, self.stop, self.step)
        return tuple(Fraction(n) if isinstance(n, int) else Fraction(repr(n)) for n in numbers)


def _range(start: Number, stop: Number | None = None, step: Number = 1) -> Range:
    start, stop = (0, start) if stop is None else (start, stop)
    return Range(start=start, stop=stop, step=step)


def _sort(*args: Any, sweep: Any = None, list: Any = None, reverse: bool = False) -> Any:
    given = _one_of(args, sweep)
    if isinstance(given, Range):
        return replace(given, backwards=reverse == (given.step > 0), shuffle=False)
    result = hydras.sort(*args, sweep=sweep, list=list, reverse=reverse)
    return replace(result, shuffle=False) if isinstance(result, ChoiceSweep) else result


def _shuffle(*args: Any, sweep: Any = None, list: Any = None) -> Any:
    given = list if list is not None else _one_of(args, sweep)
    if not _is_sweep(given) and len(args) < 2:
        raise ValueError("only a sweep can be shuffled; write a list in the order it is to have")
    return hydras.shuffle(*args, sweep=sweep)


def _keeping_order(cast: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a cast that keeps the order that ``sort`` and ``shuffle`` gave its argument."""

    def kept(*args: Any, value: Any = None) -> Any:
        given = _one_of(args, value)
        result = cast(*args, value=value)
        if isinstance(given, Range):
            return replace(given, start=result.start, stop=result.stop, step=result.step)
        if isinstance(given, ChoiceSweep):
            return replace(result, shuffle=given.shuffle, tags=given.tags)
        return result

    return kept


def _one_of(args: tuple[Any, ...], named: Any) -> Any:
    if named is not None:
        return named
    return args[0] if len(args) == 1 else None


def _is_sweep(value: Any) -> bool:
    return isinstance(value, Sweep | Glob)


def _holds_sweep(value: Any) -> bool:
    """Returns whether a sweep is inside a list, a map or another sweep, where none expands."""
    return any(_is_sweep(part) or _holds_sweep(part) for part in _parts(value))


def _depth(value: Any) -> int:
    return 1 + max((_depth(part) for part in _parts(value)), default=-1)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, ChoiceSweep):
        return value.list
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _reason(error: OverrideParseException) -> str:
    """Returns the line of Hydra's message that explains the error."""
    lines = [line for line in str(error).splitlines() if not line.startswith("See https://")]
    if lines[0].startswith(_LEXER):  # a caret in the next line points at the character
        character = lines[0][len(lines[1]) - 1 :][:1]
        return f"{character!r} cannot stand there; put the value in quotes"
    told = lines[1:] if lines[0].startswith("Error parsing override") else lines
    first = told[0] if told else lines[0]
    if first.startswith("missing EQUAL"):
        return "is no override; expected key=value, without spaces"
    return shortened(_EVALUATING.sub("", first))


def _visit_function(self: HydraOverrideVisitor, ctx: OverrideParser.FunctionContext) -> Any:
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    name = None
    for child in ctx.getChildren():
        if isinstance(child, OverrideParser.ArgNameContext):
            name = child.getChild(0).getText()
        elif not isinstance(child, OverrideParser.ElementContext):
            continue
        elif name is not None:
            kwargs[name], name = self.visitElement(child), None
        elif kwargs:
            raise HydraException("positional argument follows keyword argument")
        else:
            args.append(self.visitElement(child))
    try:
        return self.functions.eval(FunctionCall(ctx.getChild(0).getText(), args, kwargs))
    except Exception as error:
        text = f"{type(error).__name__} while evaluating '{ctx.getText()}': {error}"
        raise HydraException(text) from error


def _visit_pair(
    self: HydraOverrideVisitor, ctx: OverrideParser.DictKeyValuePairContext
) -> tuple[str, Any]:
    return self.visitDictKey(ctx.getChild(0)), self.visitElement(ctx.getChild(2))


if not __debug__:
    # Hydra steps over brackets and colons in assert statements, which Python leaves out under -O.
    setattr(HydraOverrideVisitor, "visitFunction", _visit_function)  # noqa: B010
    setattr(HydraOverrideVisitor, "visitDictKeyValuePair", _visit_pair)  # noqa: B010
