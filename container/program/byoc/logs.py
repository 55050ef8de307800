"""Logs: one JSON object a line, as CloudWatch Logs Insights reads them; plain text on a terminal."""

from __future__ import annotations

import json
import logging
import logging.config
import sys
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

# What every record has; anything else was given by `extra=` and is logged as a field of its own.
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time (UTC), level, logger, message, the fields of `extra`, and the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line: dict[str, Any] = {
            "time": timestamp(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(_fields(record))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class PlainFormatter(logging.Formatter):
    """A record as a person reads it on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text, several lines where there is a traceback."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        mark = "" if record.levelno <= logging.INFO else f"{record.levelname}: "
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        text = f"{clock} {mark}{record.getMessage()}{fields}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def setup(level: int) -> None:
    """Log to stderr from now on, Python's warnings too."""
    logging.config.dictConfig(configuration(level))
    logging.captureWarnings(True)


def mark(**fields: Any) -> None:
    """Add fields to every line from now on."""

    def add(record: logging.LogRecord) -> bool:
        vars(record).update(fields)
        return True

    for handler in logging.getLogger().handlers:
        handler.addFilter(add)


def configuration(level: int, stream: TextIO = sys.stderr) -> dict[str, Any]:
    """Return the logging configuration (``logging.config.dictConfig``'s schema) for a process of ours."""
    formatter = PlainFormatter if stream.isatty() else JsonFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {"stream": {"class": "logging.StreamHandler", "formatter": "line", "stream": stream}},
        "root": {"level": level, "handlers": ["stream"]},
        # boto3's chatter at INFO says nothing to a data scientist.
        "loggers": {name: {"level": "WARNING"} for name in ("botocore", "boto3", "urllib3", "s3transfer")},
    }


def level(value: str) -> int:
    """Return the logging level that ``SAGEMAKER_CONTAINER_LOG_LEVEL`` names: a number (10 to 50) or a name.

    Raises:
        ValueError: it is neither.

    """
    text = value.strip().upper()
    if text in LEVELS:
        return LEVELS[text]
    if text.isdecimal() and 0 < int(text) <= LEVELS["CRITICAL"]:
        return int(text)
    raise ValueError(f"must be a number from 1 to 50 or one of {', '.join(LEVELS)}")


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in STANDARD}


def timestamp(seconds: float) -> str:
    """Return a time in UTC, to the millisecond, as ISO 8601 has it."""
    return f"{_to_the_second(int(seconds))}.{int(seconds % 1 * 1000):03d}Z"


@lru_cache(maxsize=1)
def _to_the_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
