"""The recipes of docs/recipes.md give what the page says."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.doors.pages import Section, dry_run, sections
from tests.doors.sweeps import table

PAGE = sections("recipes.md")
CHANGES = [one.heading for one in PAGE].index("After a sweep has started")
BEFORE = {one.heading: one for one in PAGE[2:CHANGES]}
DEFAULT = ["ntune", "--config=mine.yaml", "--tune=space.yaml"]


def _stated(section: Section) -> int:
    """The number of permutations or jobs that a recipe says it has."""
    (number,) = re.findall(r"\*\*(\d+) (?:permutations|jobs)\*\*", section.text)
    return int(number)


@pytest.fixture
def mine(tiny, tmp_path):
    """Writes the base config of the recipes, with trainings of 20 short updates."""
    text = tiny.read_text().replace("updates: 2", "updates: 20").replace("seed: 5", "seed: 1")
    (tmp_path / "mine.yaml").write_text(text)


@pytest.mark.slow
@pytest.mark.parametrize("heading", BEFORE)
def test_a_recipe_has_as_many_permutations_as_it_says(heading, door, mine, tmp_path):
    section = BEFORE[heading]
    for text in section.blocks("yaml"):
        (tmp_path / "space.yaml").write_text(text)
    (command,) = section.commands() or [DEFAULT]
    jobs = dry_run(door, command, "hydra.sweeper.num_repetitions=1")
    assert len(jobs) == _stated(section)
    assert len(set(jobs)) == len(jobs)
    assert not (tmp_path / "shared").exists()


def test_one_factor_at_a_time_differs_from_the_base_config_in_one_key(door, mine, tmp_path):
    section = next(s for s in PAGE if "one factor" in s.heading)
    (tmp_path / "space.yaml").write_text(section.blocks("yaml")[0])
    outcome = door("ntune", [*section.commands()[0][1:], "--cfg", "job"])
    trainers = [config["trainer"] for config in yaml.safe_load_all(outcome.out)]
    base, *others = trainers
    for other in others:
        assert len([key for key in base if base[key] != other[key]]) == 1


def test_a_log_scale_has_the_numbers_of_the_page(door, mine, tmp_path):
    section = next(s for s in PAGE if "log scale" in s.heading)
    (tmp_path / "space.yaml").write_text(section.blocks("yaml")[0])
    jobs = dry_run(door, DEFAULT)
    found = [float(re.search(r"initial=(\S+)", job)[1]) for job in jobs]
    told = section.text.rpartition("permutations**:")[2]
    assert found == [float(number) for number in re.findall(r"0\.0*1", told)]


def test_a_larger_sample_adds_to_a_smaller_one(door, mine, tmp_path):
    section = next(s for s in PAGE if "200 random" in s.heading)
    (tmp_path / "space.yaml").write_text(section.blocks("yaml")[0])
    (command,) = section.commands()
    small, large = (
        set(dry_run(door, [*command[:-1], f"hydra.sweeper.sample={count}"])) for count in (4, 8)
    )
    assert small < large
    assert "hydra.sweeper.sample=300" in section.text


@pytest.mark.slow  # six sweeps with 25 trainings
def test_a_sweep_changes_as_the_page_says(door, mine, tmp_path):
    """Runs the recipes of the second part in order, and counts the trainings of each."""
    sweep = tmp_path / "grid_search/default"
    for section in PAGE[CHANGES:]:
        for text in section.blocks("yaml"):
            (tmp_path / "space.yaml").write_text(text)
        (command,) = section.commands()
        outcome = door("ntune", [*command[1:], "hydra.sweeper.n_jobs=1"])
        assert outcome.status == 0, outcome.err
        ended = re.findall(r"^\d+/\d+: completed in", outcome.err, re.MULTILINE)
        assert len(ended) == _stated(section), section.heading
        for kept in re.findall(r"`(\d+/0\.before-1)/`", section.text):
            assert (sweep / kept / "result.json").is_file()
    assert len(list(sweep.glob("*/0.before-1"))) == 2
    rows = table(sweep)
    dropped = [row for row in rows if row["dropped"] == "true"]
    assert {(row["permutation"], row["trainer.gamma"]) for row in dropped} == {("-1", "0.9")}
    assert {row["updates"] for row in rows if row["dropped"] == "false"} == {"40"}
    assert len(list((sweep / "confirmation").rglob("result.json"))) == 5
