import threading

import click

from byoc_cli.sagemaker.latency import Latencies, measure


def test_percentiles_are_the_least_times_within_which_so_many_were_answered():
    found = Latencies([float(each) for each in range(1, 101)], ["no"], 2.0, 4)
    assert [found.percentile(percent) for percent in (1, 50, 90, 99, 100)] == [1, 50, 90, 99, 100]
    assert found.as_json() == {
        "Requests": 101,
        "Errors": 1,
        "Concurrency": 4,
        "RequestsPerSecond": 50.0,
        "P50Ms": 50.0,
        "P90Ms": 90.0,
        "P99Ms": 99.0,
        "MaxMs": 100.0,
    }
    assert str(found) == (
        "101 requests, 4 at a time, p50 50.0 ms, p90 90.0 ms, p99 99.0 ms, max 100.0 ms, 50.0 a second, 1 errors"
    )


def test_a_percentile_of_a_few_is_one_of_them():
    assert [Latencies([1.0, 2.0, 3.0], [], 1.0, 1).percentile(percent) for percent in (0, 50, 67, 99)] == [1, 2, 3, 3]


def test_all_may_fail():
    def ask():
        raise click.ClickException("no")

    found = measure(ask, 3, 2)
    assert (found.errors, list(found.milliseconds)) == (["no"] * 3, [])
    assert "P50Ms" not in found.as_json()
    assert str(found) == "3 requests, 2 at a time, 3 errors"


def test_so_many_at_a_time():
    together = threading.Barrier(3, timeout=10)
    assert len(measure(together.wait, 6, 3).milliseconds) == 6
