"""Compares the functions of Hydra's grammar with naive versions of what its documentation says."""

from __future__ import annotations

import random
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from neroRL.composition.grammar import elements, parse_all
from neroRL.errors import UsageError

PROJECT = Path(__file__).resolve().parents[2]
MOST = 10_000
integers = st.integers(-50, 50).map(str)
decimals = st.decimals(-20, 20, places=2).map(str)
positive = st.one_of(st.integers(1, 9).map(str), st.decimals("0.05", 5, places=2).map(str))


def _values(text: str) -> list:
    (override,) = parse_all([f"key={text}"])
    assert override.is_sweep_override()
    return elements(override, MOST)


def _naive_range(start: str, stop: str, step: str) -> list:
    """Returns ``r[i] = start + step * i`` while ``r[i] < stop``, or ``> stop`` if step < 0."""
    first, last, by = Decimal(start), Decimal(stop), Decimal(step)
    found = []
    while first + by * len(found) < last if by > 0 else first + by * len(found) > last:
        found.append(first + by * len(found))
    kind = float if any("." in number for number in (start, stop, step)) else int
    return [kind(number) for number in found]


@st.composite
def ranges(draw):
    number = st.one_of(integers, decimals)
    step = draw(st.sampled_from(["", "-"])) + draw(positive)
    start, stop = draw(number), draw(number)
    return f"range({start},{stop},{step})", _naive_range(start, stop, step)


@st.composite
def choices(draw):
    drawn = draw(
        st.one_of(
            st.lists(st.integers(-9, 9), min_size=2, max_size=6),
            st.lists(st.floats(-9, 9).map(lambda x: round(x, 2)), min_size=2, max_size=6),
            st.lists(st.text("ab1 ,'=x", max_size=4), min_size=2, max_size=6),
        )
    )
    listed = ",".join(
        "'" + item.replace("'", "\\'") + "'" if isinstance(item, str) else repr(item)
        for item in drawn
    )
    return draw(st.sampled_from([f"choice({listed})", listed])), drawn


@st.composite
def calls(draw):
    """Draws a sweep inside up to three functions, its values, and whether they are shuffled."""
    text, values = draw(st.one_of(ranges(), choices()))
    shuffled = False
    for function in draw(
        st.lists(st.sampled_from(["sort", "reverse", "shuffle", "tag", "float"]), max_size=3)
    ):
        bare = not text.endswith(")")
        if function == "tag":
            text = f"tag(a,b,choice({text}))" if bare else f"tag(a,b,{text})"
        elif function == "shuffle":
            text, shuffled = f"shuffle({text})", True
        elif function == "float":
            if not all(isinstance(value, int | float) for value in values):
                continue
            text, values = f"float({text})", [float(value) for value in values]
        else:
            backwards = function == "reverse"
            text = f"sort({text},reverse=true)" if backwards else f"sort({text})"
            values, shuffled = sorted(values, reverse=backwards), False
    return text, values, shuffled


@given(calls())
def test_every_call_gives_what_a_naive_reading_gives(call):
    text, expected, shuffled = call
    if not expected:
        with pytest.raises(UsageError, match="has no choices"):
            _values(text)
        return
    found = _values(text)
    assert [type(value) for value in found] == [type(value) for value in expected] or shuffled
    if shuffled:
        assert sorted(found) == sorted(expected)
    else:
        assert found == expected


@given(ranges())
def test_integer_ranges_are_pythons(drawn):
    text, values = drawn
    if values and all(isinstance(value, int) for value in values):
        assert values == list(eval(text))
        assert _values(text) == values


@given(st.lists(st.integers(0, 99), min_size=4, max_size=9, unique=True))
def test_a_shuffled_sweep_has_the_same_order_whenever_it_is_read(values):
    text = f"shuffle({','.join(map(str, values))})"
    random.seed(len(values))
    first = _values(text)
    random.seed(0)
    assert _values(text) == first
    assert sorted(first) == sorted(values)


def test_shuffling_depends_on_the_key_and_mixes():
    orders = {
        tuple(elements(override, MOST))
        for override in parse_all([f"k{number}=shuffle(range(8))" for number in range(20)])
    }
    assert len(orders) == 20
    assert tuple(range(8)) not in orders


DOCUMENTED = {
    "range(0,5)": [0, 1, 2, 3, 4],
    "range(5)": [0, 1, 2, 3, 4],
    "range(start=6,step=2)": [0, 2, 4],
    "range(0,10,3.3)": [0.0, 3.3, 6.6, 9.9],
    "range(0,1,0.1)": [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
    "range(1,1.3,0.1)": [1.0, 1.1, 1.2],
    "sort(range(2,7,2),reverse=true)": [6, 4, 2],
    "sort(range(1,10),reverse=true)": [9, 8, 7, 6, 5, 4, 3, 2, 1],
    "sort(range(10,1,-3))": [4, 7, 10],
    "sort(1,3,2)": [1, 2, 3],
    "sort(1,3,2,reverse=true)": [3, 2, 1],
    "sort(sweep=choice(1,3,2))": [1, 2, 3],
    "sort(shuffle(3,1,2))": [1, 2, 3],
    "int(range(0.5,3.5))": [0, 1, 2],
    "float(sort(range(2,7,2),reverse=true))": [6.0, 4.0, 2.0],
    "str(choice(1,2))": ["1", "2"],
    "bool(choice(0,1))": [False, True],
    "choice('1',\"2\")": ["1", "2"],
    "tag(log,choice(a,b))": ["a", "b"],
    "[1,'2'],{a:'3'}": [[1, "2"], {"a": "3"}],
    "null,1": [None, 1],
}


@pytest.mark.parametrize("text", DOCUMENTED)
def test_documented_examples(text):
    found, expected = _values(text), DOCUMENTED[text]
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


REFUSED = {
    "range(1,10,0)": "the step of a range must not be 0",
    "int(range(0.0,1.0,0.5))": "the step of a range must not be 0",
    "range(0,inf)": "a range has finite numbers",
    "range(nan,1)": "a range has finite numbers",
    "range(1,5,1e-9)": "has 4,000,000,000 choices; hydra.sweeper.max_jobs allows 10,000",
    "range(5,1)": "has no choices; a range that counts down has a negative step",
    "sort(range(10,1))": "has no choices; a range that counts down has a negative step",
    "str(range(3))": "Range can only be cast to int or float",
    "sort(a,1)": "not supported between instances of 'int' and 'str'",
    "shuffle([1,2,3])": "only a sweep can be shuffled",
    "shuffle(list=[1,2,3])": "only a sweep can be shuffled",
    "shuffle(1)": "only a sweep can be shuffled",
    "shuffle()": "only a sweep can be shuffled",
    "range(1,3),5": "a sweep cannot be a part of another value",
    "[range(1,3)]": "a sweep cannot be a part of another value",
    "{a:choice(1,2)}": "a sweep cannot be a part of another value",
    "[" * 60 + "]" * 60: "nested more than 50 deep",
    "[" * 3000 + "]" * 3000: "nested more than 50 deep",
    "9" * 5000: "Exceeds the limit (4300 digits)",
    "nonsense(1)": "Unknown function 'nonsense'",
    "[1": "[1",
    "~/x": "'~' cannot stand there; put the value in quotes",
    "a/b~": "'~' cannot stand there; put the value in quotes",
}


@pytest.mark.parametrize("text", REFUSED)
def test_meaningless_values_are_refused_with_the_reason(text):
    with pytest.raises(UsageError) as caught:
        elements(parse_all([f"key={text}"])[0], MOST)
    assert str(caught.value).startswith("key=")
    assert REFUSED[text] in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "text", ["sort([3,1,2])", "{a:1,b:[x,{c:2}]}", "int(2.7)", "sort(1)", "a b"]
)
def test_single_values_are_hydras(text):
    (ours,) = parse_all([f"key={text}"])
    assert ours.value() == OverridesParser.create().parse_override(f"key={text}").value()


def test_without_assertions_the_grammar_is_the_same():
    """Hydra's own parser consumes brackets inside assert statements, which -O removes."""
    texts = ["range(1,7,2)", "choice(a,b)", "sort(3,1,sweep=2)", "{a:1,b:{c:[2]}}", "tag(x,1)"]
    code = (
        "import sys; from neroRL.composition.grammar import elements, parse_all\n"
        "from neroRL.errors import UsageError\n"
        "assert False, 'assertions are off'\n"
        "def read(text):\n"
        "    try: override = parse_all([f'key={text}'])[0]\n"
        "    except UsageError as error: return str(error)\n"
        "    return elements(override, 99) if override.is_sweep_override() else override.value()\n"
        "print([read(text) for text in sys.argv[1:]])\n"
    )
    expected = [
        [1, 3, 5],
        ["a", "b"],
    ]
    done = subprocess.run(
        [sys.executable, "-O", "-c", code, *texts],
        env={"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = eval(done.stdout)
    assert found[:2] == expected
    assert found[3] == {"a": 1, "b": {"c": [2]}}
    with_assertions = []
    for text in (texts[2], texts[4]):
        with pytest.raises(UsageError) as caught:
            parse_all([f"key={text}"])
        with_assertions.append(str(caught.value))
    assert [found[2], found[4]] == with_assertions
