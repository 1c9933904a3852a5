"""Tests that the advice in a sweep's summary can be followed."""

from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from neroRL.ranking.ranking import rank
from neroRL.ranking.standing import Standing
from neroRL.records.results import COMPLETED, DIVERGED, FAILED, STOPPED, JobResult
from neroRL.records.sweep_record import SweepRecord
from neroRL.records.sweeps import RecordedSweep
from neroRL.reporting.page.winner import headline
from neroRL.reporting.summary import (
    SAME_EPISODES,
    certainty,
    print_confirmation,
    print_summary,
)
from neroRL.reporting.sweep_report import report
from tests.reporting.landscapes import jobs, ranking_of, sweep_of


def _summary(sweep, count=3, **options) -> str:
    results = [
        JobResult(number, 0, 5, FAILED, directory=f"{number}/0", error="its process died")
        for number in range(count)
    ]
    stream = StringIO()
    print_summary(results, rank(results, count), str(sweep), stream, **options)
    return stream.getvalue()


def test_the_command_for_one_job_names_a_config_that_exists(tmp_path):
    sweep = tmp_path / "my sweep"
    told = _summary(sweep)
    assert "failed: 2/0: its process died" in told
    assert "ntrain" not in told  # no job got as far as a config
    assert "results.csv" not in told
    (sweep / "1/0/.hydra").mkdir(parents=True)
    (sweep / "1/0/.hydra/config.yaml").touch()
    (sweep / "results.csv").touch()
    told = _summary(sweep)
    assert f"ntrain --config='{sweep}/1/0/.hydra/config.yaml'\n" in told
    assert f"results: {sweep}/results.csv" in told


def test_the_same_command_is_advised_only_if_it_tries_again(tmp_path):
    assert "Run the same command again" in _summary(tmp_path)
    assert "hydra.sweeper.retry_failed=true" in _summary(
        tmp_path, again="it with hydra.sweeper.retry_failed=true"
    )


def test_permutations_without_an_objective_are_counted():
    results = [
        JobResult(number, 0, 5, COMPLETED, objective=objective, directory=f"{number}/0")
        for number, objective in enumerate([1.0, None, 2.0, None])
    ]
    stream = StringIO()
    print_summary(results, rank(results, 4), "out", stream)
    told = "No episode ended in 2 completed jobs of 2 permutations, so there is no objective."
    assert told in stream.getvalue()
    print_summary(results[::2], rank(results[::2], 4), "out", stream := StringIO())
    assert "No episode ended" not in stream.getvalue()


def test_only_some_of_many_failed_jobs_are_listed(tmp_path):
    told = _summary(tmp_path, count=1000)
    assert told.count("failed: ") == 20
    assert f"980 more failed; {tmp_path}/results.csv has the reasons" in told


@pytest.mark.parametrize("first", [0, 40])
def test_what_a_race_saves_is_a_share_of_all_jobs_to_their_end(tmp_path, door, first):
    """Of 3 jobs each with 100 updates of 10, 20 and 40 steps; one has no result."""
    ends = {
        (0, 0): (COMPLETED, 100), (1, 0): (STOPPED, 25), (2, 0): (FAILED, 0),
        (0, 1): (FAILED, 3), (1, 1): (STOPPED, 25), (2, 1): (DIVERGED, 3),
        (0, 2): (COMPLETED, 100), (2, 2): (FAILED, 7),
    }  # fmt: skip
    trainer = {"updates": first + 100, "resume_at": first}
    base = {"trainer": trainer, "sampler": {"n_workers": 2, "worker_steps": 1}}
    axes = {"sampler.worker_steps": [5, 10, 20]}
    for (permutation, repetition), (status, updates) in ends.items():
        size = axes["sampler.worker_steps"][permutation]
        job = f"{permutation}/{repetition}"
        (tmp_path / "run" / job).mkdir(parents=True)
        JobResult(
            permutation,
            repetition,
            1,
            status,
            {"sampler.worker_steps": size},
            updates=first + updates,
            env_steps=updates * 2 * size,
            directory=job,
            planned_updates=first + 100 if status in (STOPPED, DIVERGED) else None,
            resume_at=first,
        ).write(tmp_path / "run" / job)
    race = {"race": {"rungs": [0.25]}, "race_is_over": True}
    SweepRecord(base, axes, 1, None, 3, 3, jobs=9, **race).write(tmp_path / "run")
    saved, whole = 2 * 75 * 20, 3 * 100 * (10 + 20 + 40)
    told = f"a race stopped 2 jobs: {saved:,} environment steps saved, {saved / whole:.0%} of the"
    assert told in door("nreport", ["run"]).out


FEW = "Intervals of fewer than 5 repetitions are not to be trusted."


def _certainty(*rows: list[float]) -> list[str]:
    return certainty(ranking_of([{"a.b": number} for number in range(len(rows))], np.array(rows)))


@pytest.mark.parametrize(("runs", "told"), [(1, []), (2, [FEW]), (4, [FEW]), (5, [])])
def test_one_permutation_is_compared_with_none_but_its_interval_is_doubted(runs, told):
    assert _certainty([float(value) for value in range(runs)]) == told


NONE = "No other permutation has a result to compare with."


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ("wl", "Permutation 0 is better than all others (at 95 %)."),
        ("wf", NONE),
        ("wdf", NONE),
        ("wc", NONE),  # no episode ended
        ("ws", "No other permutation has a result of a whole training to compare with."),
        ("wfs", "No other permutation has a result of a whole training to compare with."),
        ("wls", "Permutation 0 is better than all others that were trained to the end (at 95 %)."),
        ("wlf", "Permutation 0 is better than all others with a result (at 95 %); "
                "1 permutation without a result is not compared."),
        ("wldsf", "Permutation 0 is better than all others that were trained to the end "
                  "(at 95 %); 2 permutations without a result are not compared."),
    ],
)  # fmt: skip
def test_the_winner_is_compared_with_those_that_have_a_result(ends, told):
    """Permutations that win, lose, fail, diverge, stop, or complete without an objective."""
    status = {"f": FAILED, "d": DIVERGED, "s": STOPPED}
    number = {"w": 5.0, "l": 1.0, "s": 2.0}
    ranking = rank(
        [
            JobResult(permutation, lap, lap, status.get(end, COMPLETED), {"a.b": permutation},
                      number[end] + lap / 100 if end in number else None)
            for lap in range(5)
            for permutation, end in enumerate(ends)
        ],
        len(ends),
    )  # fmt: skip
    assert certainty(ranking) == [told]
    assert told in headline(ranking, None).lines
    assert f"On fresh seeds: {told}" in headline(ranking, ranking, again()).lines
    stream = StringIO()
    print_confirmation(ranking, ranking, again(), stream)
    assert told in stream.getvalue()


def test_results_that_do_not_count_yet_are_told():
    ended = [
        JobResult(permutation, lap, seed=lap, status="completed", objective=float(permutation))
        for lap in range(3)
        for permutation in range(3)
    ]
    told = "3 results of later repetitions do not count yet, since repetition 1 lacks 1 job."
    assert told not in certainty(rank(ended, 3))
    ranking = rank([one for one in ended if (one.permutation, one.repetition) != (0, 1)], 3)
    assert [row.standing.runs for row in ranking.ranked] == [1, 1, 1]
    found = certainty(ranking)
    assert found[0] == told.replace("3", "5", 1)
    assert "--num-repetitions" not in found[1]  # there are more already
    assert told.replace("3", "5", 1) in headline(ranking, None).lines


def again(results: Sequence[JobResult] = (), **base: object) -> RecordedSweep:
    """A confirmation without jobs left."""
    count = len(results)
    record = SweepRecord(base, {}, 7, None, repetitions=2, permutations=1, jobs=count)
    return RecordedSweep(Path("sweep/confirmation"), record, list(results), [])


@pytest.mark.parametrize(
    ("seconds", "base"),
    [(None, {}), (0.5, {}), (None, {"evaluation": {"evaluate": True}})],
    ids=["not evaluated", "evaluated", "of an earlier version"],
)
def test_a_confirmation_that_evaluates_says_that_it_played_the_same_episodes(seconds, base):
    confirmed = ranking_of([{"a.b": 1}], np.array([[1.0, 1.5]]))
    stream = StringIO()
    results = jobs([{"a.b": 1}], np.array([[1.0, 1.5]]), evaluation_seconds=seconds)
    confirmation, evaluated = again(results, **base), bool(seconds or base)
    print_confirmation(confirmed, confirmed, confirmation, stream)
    assert (SAME_EPISODES in stream.getvalue()) == evaluated
    told = headline(confirmed, confirmed, confirmation)
    assert (SAME_EPISODES in told.lines[-1]) == evaluated
    assert ("unbiased" in told.lines[-1]) != evaluated


def test_a_confirmation_of_one_permutation_says_that_it_has_few_repetitions():
    confirmed = ranking_of([{"a.b": 1}], np.array([[1.0, 1.5]]))
    stream = StringIO()
    print_confirmation(confirmed, confirmed, again(), stream)
    assert FEW in stream.getvalue()


def test_a_single_repetition_is_told_the_option_that_adds_more_to_what_it_is_of():
    single = ranking_of([{"a.b": 1}, {"a.b": 2}], np.array([[1.0], [2.0]]))
    (told,) = certainty(single)
    assert told.endswith("ntune adds seeds with --num-repetitions=5.")
    (told,) = certainty(single, "")  # another sweeper has no repetitions
    assert told.endswith("from a lucky seed.")
    assert headline(single, repeating="").lines[0] == told
    stream = StringIO()
    print_confirmation(single, single, again(), stream)
    assert "ntune adds seeds with hydra.sweeper.confirm_repetitions=5." in stream.getvalue()
    assert "--num-repetitions" not in stream.getvalue()
    told = headline(single, single, again())
    assert "confirm_repetitions=5" in str(told)
    assert "--num-repetitions" not in str(told)


@pytest.mark.parametrize(
    ("rows", "apart"),
    [
        ([[0.5, 0.75], [0.5, 0.75]], "0 from 1"),  # equal
        ([[0.0, 1.0, 1.0, 1.0], [0.9, 0.9, 0.9, 2.0]], "0 from 1"),  # the mean prefers the second
        ([[1.0, -0.9999], [0.0, 0.0]], "0 from 1"),  # more than ten thousand
    ],
)
def test_ties_that_no_number_of_repetitions_is_known_to_break_are_told(rows, apart):
    told = [line for line in _certainty(*rows) if "repetitions would tell" in line]
    assert told == [
        f"How many repetitions would tell {apart} cannot be foreseen from these results."
    ]


def test_the_repetitions_to_come_are_those_that_part_the_first_tie():
    ranking = ranking_of(
        [{"a.b": number} for number in range(3)],
        np.array([[1.0, 1.1, 0.9, 1.0], [0.8, 0.9, 0.7, 0.8], [1.6, -0.4, 1.5, -0.3]]),
    )
    assert ranking.tied == [0, 2]
    assert certainty(ranking)[1] == (
        f"About {ranking.more_repetitions} more repetitions would tell 0 from 2, "
        "if they go on like this."
    )


def test_an_empty_text_is_seen_among_the_values():
    shown = Standing(0, {"a.encoding": "", "a.size": 0, "a.note": "x"}).values()
    assert shown == "a.encoding='' a.size=0 a.note=x"


def test_what_is_not_ranked_is_told_by_the_metric():
    told = jobs([{"a.b": 1}], np.array([[1.0]]))
    for metric, message in (
        ("objective", "No episode ended in the completed jobs"),
        ("success_mean", "No completed job has a success_mean."),
    ):
        results = [replace(one, objective=None) for one in told]
        stream = StringIO()
        print_summary(results, rank(results, 1, metric), "sweep", stream)
        assert message in stream.getvalue()
    for confirmation, message in (
        (again(told), "no completed job has a value of success_mean"),
        (again([replace(told[0], status=FAILED)]), "no job has completed"),
        (again(), "its permutations are no part of the sweep any more"),
    ):
        stream = StringIO()
        confirmed = rank(confirmation.results, 1, "success_mean")
        print_confirmation(confirmed, confirmed, confirmation, stream)
        assert f"Confirmation: {message}." in stream.getvalue()


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("ntune --tune=space.yaml", "the same command again"),
        ("ntune 'hydra.sweeper.only=[1,3]'", "the same command again"),
        ("ntune 'hydra.sweeper.only=[3]'", "the same command without hydra.sweeper.only"),
        ("ntune hydra.sweeper.only=null hydra.sweeper.retry_failed=True", "the same command again"),
        ("ntune hydra.sweeper.retry_failed=False",
         "the same command with hydra.sweeper.retry_failed=true"),
    ],
)  # fmt: skip
def test_a_report_says_which_command_tries_failed_jobs_again(tmp_path, capsys, command, told):
    failed = [JobResult(1, 0, 1, FAILED, {"a.b": 2}, directory="1/0", error="no")]
    sweep = sweep_of(
        tmp_path, {"a.b": [1, 2]}, np.array([[1.0], [np.nan]]), failed, command=command
    )
    report(sweep, None, "objective", 0.95)
    assert f"Run {told} to try the failed jobs again." in capsys.readouterr().out
