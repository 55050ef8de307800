"""A container's log, as a person reads it."""

import json

import pytest

from byoc_cli.docker.log_lines import render

TIME = "2026-01-01T00:00:07.123Z"


def record(**fields) -> str:
    return json.dumps({"time": TIME, "level": "INFO", "logger": "byoc", "message": "ready", **fields})


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (record(), "00:00:07 ready"),
        (record(level="ERROR", message="stopped: no model"), "00:00:07 ERROR: stopped: no model"),
        (record(status=200, milliseconds=1.5, ok=True), "00:00:07 ready status=200 milliseconds=1.5 ok=true"),
        (record(traceback="Traceback:\n  x\nValueError"), "00:00:07 ready\nTraceback:\n  x\nValueError"),
        (record(message="\x1b[2Jcleared\r"), "00:00:07 \\x1b[2Jcleared\\r"),
        (record() + "\r\n", "00:00:07 ready"),
    ],
)
def test_our_own_lines_are_short(line, text):
    assert render(line) == text


@pytest.mark.parametrize(
    "line", ["hello", '{"a": 1}', "{", '{"time": 5, "level": "INFO", "message": "x"}', "[1]", "", "\tindented"]
)
def test_others_stay_as_they_are(line):
    assert render(line) == line
