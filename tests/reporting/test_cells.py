"""Tests how swept values appear in TensorBoard's table and in the names of runs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neroRL.reporting.cells import LONGEST_NAME, cell, keys_shown_as_text, run_name

scalars = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=6)
scalars |= st.floats(allow_nan=False, allow_infinity=False)
words = st.sampled_from(["null", "true", "1", "1.0", "1e3", ".5", "", "'1'", "[1]", "~", "0x10"])
keys = st.from_regex(r"[a-z_]{1,12}([./][a-z_]{1,12}){0,3}", fullmatch=True)


@given(scalars | words | st.lists(st.integers()), scalars | words | st.lists(st.integers()))
def test_different_values_have_different_texts(one, other):
    same = type(one) is type(other) and one == other
    numbers = [type(value) in (int, float) for value in (one, other)]
    same = same or (all(numbers) and one == other)
    assert (cell(one, as_text=True) == cell(other, as_text=True)) == same


@given(scalars)
def test_columns_of_one_type_keep_it(value):
    kept = cell(value, as_text=False)
    assert kept == ("null" if value is None else value)
    assert type(kept) in (bool, float, str)


def test_columns_of_several_types_are_text():
    axes = {
        "gamma": [0.9, 1],
        "grayscale": [True, False],
        "memory": ["gru", "none"],
        "steps": [None, 10],
        "only": [None],
        "size": [[84, 84]],
        "odd": [True, 1],
        "words": ["1", 1],
    }
    assert keys_shown_as_text(axes) == ["steps", "only", "size", "odd", "words"]


@given(st.dictionaries(keys, scalars | words | st.text(min_size=100), min_size=1, max_size=12))
def test_names_are_safe_and_short(values):
    name = run_name(values)
    assert re.fullmatch(r"[A-Za-z0-9_.,=+-]+", name)
    assert "=" in name
    assert len(name) <= LONGEST_NAME


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"trainer.gamma": 0.99}, "gamma=0.99"),
        ({"seed": 3, "run_id": "a/b c"}, "seed=3,run_id=a_b_c"),
        (
            {"trainer.beta_schedule.initial": 1e-5, "trainer.clip_range_schedule.initial": 0.1},
            "beta_schedule.initial=1e-05,clip_range_schedule.initial=0.1",
        ),
        ({"sampler.n_workers": 8, "evaluation.n_workers": 2},
         "sampler.n_workers=8,evaluation.n_workers=2"),
        ({"model/memory": None}, "memory=null"),
        ({f"trainer.a{'b' * 40}{i}": i for i in range(5)},
         f"a{'b' * 40}0=0,a{'b' * 40}1=1,and_3_more"),
        ({}, ""),
    ],
)  # fmt: skip
def test_names_show_values(values, name):
    assert run_name(values) == name
