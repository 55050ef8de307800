"""The log of a container, as a person reads it: our JSON lines short, everybody else's as they are."""

import json
from datetime import datetime
from typing import Any

STANDARD = ("time", "level", "logger", "message", "traceback")


def render(line: str) -> str:
    """Return a log line's text: clock, level unless it is INFO, message, the other fields as name=value."""
    line = line.rstrip("\r\n")
    if not line.startswith("{"):
        return line
    try:
        record = json.loads(line)
        clock = datetime.fromisoformat(record["time"]).astimezone().strftime("%H:%M:%S")
        message, level = record["message"], record["level"]
    except (ValueError, KeyError, TypeError):
        return line
    mark = "" if level == "INFO" else f"{level}: "
    fields = "".join(f" {name}={plain(value)}" for name, value in record.items() if name not in STANDARD)
    text = f"{clock} {mark}{plain(message)}{plain(fields)}"
    return f"{text}\n{plain(record['traceback'])}" if record.get("traceback") else text


def plain(value: Any) -> str:
    """Return a value's text without what would move a terminal's cursor: JSON had it escaped."""
    text = value if isinstance(value, str) else json.dumps(value)
    return "".join(each if each.isprintable() or each in "\n\t" else repr(each)[1:-1] for each in text)
