"""Metrics, scraped from what the containers print, while they do."""

from __future__ import annotations

import json
import math
import re
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


class Metrics:
    """The metrics of a job.

    Args:
        definitions: the request's MetricDefinitions.
        file: gets each value as a line of JSON: ``{"name": "loss", "value": 0.5, "time": 1700000000.0}``.

    Attributes:
        final: the latest value of each, as FinalMetricDataList has them.
    """

    def __init__(self, definitions: Sequence[Mapping[str, str]], file: Path) -> None:
        self.final: dict[str, dict[str, Any]] = {}
        self._patterns = [(each["Name"], re.compile(each["Regex"])) for each in definitions]
        self._file = file
        self._read_to: dict[Path, int] = {}

    def read(self, logs: Sequence[Path], *, to_the_end: bool = False) -> bool:
        """Read what was written since the last time; return whether there were values.

        Args:
            logs: the containers' logs.
            to_the_end: also read a last line that no line end has followed.
        """
        if not self._patterns:
            return False
        values = [value for log in logs for line in self._lines(log, to_the_end) for value in self._of_line(line)]
        if not values:
            return False
        now = time.time()
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as out:
            for name, value in values:
                out.write(json.dumps({"name": name, "value": value, "time": now}) + "\n")
                self.final[name] = {"MetricName": name, "Value": value, "Timestamp": now}
        return True

    def _lines(self, log: Path, to_the_end: bool) -> Iterator[str]:
        if not log.exists():
            return
        with log.open("rb") as source:
            source.seek(self._read_to.get(log, 0))
            text = source.read()
        whole = text if to_the_end else text[: text.rfind(b"\n") + 1]
        self._read_to[log] = self._read_to.get(log, 0) + len(whole)
        yield from whole.decode("utf-8", "replace").splitlines()

    def _of_line(self, line: str) -> Iterator[tuple[str, float]]:
        for name, pattern in self._patterns:
            for match in pattern.finditer(line):
                try:
                    value = float(match.group(1))
                except (ValueError, TypeError):
                    continue
                # CloudWatch takes neither nan nor inf.
                if math.isfinite(value):
                    yield name, value
