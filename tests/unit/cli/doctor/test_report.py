"""The doctor's table, JSON and exit code."""

from __future__ import annotations

import json

import click
import pytest

from byoc_cli.doctor.check import Check
from byoc_cli.doctor.report import Result, as_json, exit_code, summary, table


def result(number, level, status):
    return Result(Check(number, level, "stopped it", "exit code 0", "handle SIGTERM"), status, "exit code 137", 1.234)


RESULTS = [result(39, "M", "failed"), result(43, "S", "failed"), result(99, "M", "passed"), result(3, "M", "passed")]


TABLE = """
training
    3  passed       stopped it
                    seen        exit code 137

signals
   39  ERROR        stopped it
                    expected    exit code 0
                    seen        exit code 137
                    change      handle SIGTERM
   43  warning      stopped it
                    expected    exit code 0
                    seen        exit code 137
                    change      handle SIGTERM

pipelines
   99  passed       stopped it
                    seen        exit code 137"""


def test_json_has_the_shape_that_is_promised():
    assert json.loads(as_json(RESULTS[:1])) == [
        {
            "id": 39,
            "group": "signals",
            "level": "M",
            "status": "failed",
            "expected": "exit code 0",
            "seen": "exit code 137",
            "advice": "handle SIGTERM",
            "seconds": 1.23,
        }
    ]


def test_the_table_is_by_group_and_tells_what_to_change():
    assert click.unstyle(table(RESULTS)) == TABLE


@pytest.mark.parametrize(
    ("level", "status", "code"),
    [("M", "failed", 1), ("S", "failed", 0), ("M", "passed", 0), ("M", "not offered", 0)],
)
def test_only_a_failed_obligation_is_an_error(level, status, code):
    assert exit_code([result(3, "M", "passed"), result(39, level, status)]) == code


def test_the_summary_counts():
    assert summary(RESULTS, 61.7) == "4 checks in 62 s: 2 passed, 1 errors, 1 warnings, 0 not offered"
