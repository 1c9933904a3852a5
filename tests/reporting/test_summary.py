"""Tests that the advice in a sweep's summary can be followed."""

from io import StringIO

from neroRL.records.results import FAILED, JobResult
from neroRL.reporting.ranking import rank
from neroRL.reporting.summary import print_summary


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
    assert "hydra.sweeper.retry_failed=true" in _summary(tmp_path, retries=False)


def test_only_some_of_many_failed_jobs_are_listed(tmp_path):
    told = _summary(tmp_path, count=1000)
    assert told.count("failed: ") == 20
    assert f"980 more failed; {tmp_path}/results.csv has the reasons" in told
