"""One JSON object a line for CloudWatch, plain text for a person."""

import io
import json
import logging
import logging.config
import sys

import pytest

from byoc import logs


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def logging_to(monkeypatch):
    """Configure a logger of its own as the program configures the root, so that pytest keeps its handlers."""

    def configure(stream):
        configuration = logs.configuration(logging.INFO, stream)
        handler = logging.StreamHandler(stream)
        handler.setFormatter(configuration["formatters"]["line"]["()"]())
        log = logging.Logger("byoc.test", configuration["root"]["level"])  # noqa: LOG001
        log.addHandler(handler)
        return log

    return configure


def fail():
    raise KeyError("a\nb")


def test_a_line_is_one_json_object_whatever_is_logged(logging_to):
    """CONTRACT check 107; fault test 22: a line stays one line."""
    stream = io.StringIO()
    log = logging_to(stream)
    log.info("two\nlines \x1b[31m %s", "é", extra={"request_id": "r\n1", "row": 3, "thing": object})
    try:
        fail()
    except KeyError:
        log.exception("failed")
    log.debug("not told")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["message"] == "two\nlines \x1b[31m é"
    assert first["level"] == "INFO"
    assert first["logger"] == "byoc.test"
    assert (first["request_id"], first["row"]) == ("r\n1", 3)
    assert first["time"].endswith("Z")
    assert "KeyError" in second["traceback"]


def test_a_terminal_gets_plain_text(logging_to):
    stream = Terminal()
    log = logging_to(stream)
    log.info("ready", extra={"port": 8080})
    log.warning("careful")
    first, second = stream.getvalue().splitlines()
    assert first.endswith("ready port=8080")
    assert second.endswith("WARNING: careful")


def test_the_configuration_is_one_that_logging_takes():
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        logging.config.dictConfig(logs.configuration(logging.ERROR, sys.stderr))
        assert root.level == logging.ERROR
        assert logging.getLogger("botocore").level == logging.WARNING
    finally:
        root.handlers[:], root.level = before
        root.setLevel(before[1])


LEVELS = [("20", 20), ("info", 20), (" Warning ", 30), ("50", 50), ("1", 1), ("DEBUG", 10)]


@pytest.mark.parametrize(("text", "level"), LEVELS)
def test_levels_by_number_and_name(text, level):
    assert logs.level(text) == level


@pytest.mark.parametrize("text", ["", "0", "51", "loud", "-10", "10.0"])
def test_bad_levels(text):
    with pytest.raises(ValueError, match="must be a number from 1 to 50 or one of DEBUG"):
        logs.level(text)
