"""Why a build failed: the one line of a builder's long log that says so."""

import json
import re
from collections.abc import Sequence

# What a step printed, `#12 3.456 text`; the builder's own lines have no seconds.
PRINTED = re.compile(r"#\d+ \d+\.\d+ (.*)")
OURS = "byoc: "
BAD = {"ERROR", "CRITICAL"}


def printed(lines: Sequence[str]) -> list[str]:
    """Return what the build's steps printed, without the builder's own lines."""
    return [match[1] for line in lines if (match := PRINTED.match(line))]


def reason(lines: Sequence[str]) -> str:
    """Return the cause in one line: the program's own last word, else pip's, the failed step's, the builder's."""
    spoken = [line for line in printed(lines) if line.strip()]
    for line in reversed(spoken):
        if said := complaint(line):
            return said
    first = next((line for line in spoken if line.startswith("ERROR: ")), "")
    if first:
        return "pip: " + first.removeprefix("ERROR: ")
    words = [line for line in lines if line.strip() and not line.startswith("---")]
    if spoken and any("exit code" in line for line in words):
        return spoken[-1].strip()
    return words[-1].removeprefix("ERROR: ").strip() if words else "docker said nothing"


def complaint(line: str) -> str:
    """Return what a line of our own programs complains of; "" where it does not."""
    if line.startswith(OURS):
        return line.removeprefix(OURS).strip()
    try:
        record = json.loads(line)
    except ValueError:
        return ""
    if isinstance(record, dict) and record.get("level") in BAD:
        return " ".join(str(record.get("message", "")).removeprefix("stopped: ").split())
    return ""
