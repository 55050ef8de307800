"""What the page's scripts ask for, as JSON: jobs and endpoints, metrics and logs as they grow, a model's columns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from byoc_cli.docker.log_lines import render
from byoc_cli.emulator.errors import ApiError
from byoc_cli.emulator.page import model_form
from byoc_cli.emulator.transform import TransformJobs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from byoc_cli.emulator.emulator import Emulator

MOST = 100
# Of a log that is opened, and of each step after.
TAIL = 64 << 10
STEP = 256 << 10
# Of each kind: the operation that lists it, its answer's member, and what the name and the status are called there.
LISTS = {
    "training-jobs": ("ListTrainingJobs", "TrainingJobSummaries", "TrainingJobName", "TrainingJobStatus"),
    "endpoints": ("ListEndpoints", "Endpoints", "EndpointName", "EndpointStatus"),
    "transform-jobs": ("ListTransformJobs", "TransformJobSummaries", "TransformJobName", "TransformJobStatus"),
}
ENDS = ("TrainingEndTime", "TransformEndTime")


class Views:
    """The views.

    Args:
        emulator: that they are of.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def tell(self, path: str, arguments: Mapping[str, str]) -> dict[str, Any]:
        """Return what a path names.

        Args:
            path: ``overview``, ``logs``, ``log``, ``metrics/job``, ``endpoints/name/form`` or a kind and a name.
            arguments: of the query.

        Raises:
            ApiError: there is nothing of that name.
        """
        kind, _, rest = path.partition("/")
        views: dict[str, Callable[[str, Mapping[str, str]], dict[str, Any]]] = {
            "overview": lambda *_: self._overview(),
            "logs": lambda _, given: self._streams(given.get("prefix", "")),
            "log": lambda _, given: self._log(given.get("stream", ""), int(given.get("from", -1))),
            "metrics": lambda name, given: self._metrics(name, int(given.get("from", 0))),
            "training-jobs": lambda name, _: self._call("DescribeTrainingJob", TrainingJobName=name),
            "transform-jobs": lambda name, _: self._transform_job(name),
            "endpoints": lambda name, _: self._endpoint(name),
        }
        try:
            return views[kind](rest, arguments)
        except (KeyError, ValueError) as error:
            raise ApiError("NotFound", f"there is no {path}", 404) from error

    def _overview(self) -> dict[str, Any]:
        told: dict[str, Any] = {"region": self._emulator.region, "address": self._emulator.address}
        for kind, (operation, member, name, status) in LISTS.items():
            told[kind] = [
                {
                    "name": each[name],
                    "status": each[status],
                    "created": each["CreationTime"],
                    "ended": next((each[end] for end in ENDS if end in each), None),
                }
                for each in self._call(operation, MaxResults=MOST, SortBy="CreationTime", SortOrder="Descending")[
                    member
                ]
            ]
        return told

    def _transform_job(self, name: str) -> dict[str, Any]:
        rooms = (room for room in self._emulator.rooms if isinstance(room, TransformJobs))
        return {**self._call("DescribeTransformJob", TransformJobName=name), "progress": next(rooms).progress(name)}

    def _endpoint(self, path: str) -> dict[str, Any]:
        name, _, rest = path.partition("/")
        described = self._call("DescribeEndpoint", EndpointName=name)
        config = self._call("DescribeEndpointConfig", EndpointConfigName=described["EndpointConfigName"])
        if rest == "form":
            return model_form.tell(self._emulator, name, config)
        return {**described, "config": config}

    def _call(self, operation: str, **request: Any) -> dict[str, Any]:
        return self._emulator.api.call(operation, request) or {}

    def _metrics(self, job: str, start: int) -> dict[str, Any]:
        """Return a job's metrics from a position in their file on."""
        self._call("DescribeTrainingJob", TrainingJobName=job)
        text, end = _whole_lines(self._emulator.folder / "metrics" / f"{job}.jsonl", start, STEP)
        return {"points": [json.loads(line) for line in text.splitlines()], "next": end}

    def _streams(self, prefix: str) -> dict[str, Any]:
        """Return the names of the log streams of a job or an endpoint: those whose path begins so, part for part."""
        return {"streams": [name for name in self._files() if name.startswith(f"{prefix}/")]}

    def _log(self, stream: str, start: int) -> dict[str, Any]:
        """Return lines of a stream from a position on; -1 is near its end."""
        file = self._files()[stream]
        size = file.stat().st_size
        is_cut = start < 0 and size > TAIL
        text, end = _whole_lines(file, max(0, size - TAIL) if start < 0 else min(start, size), STEP)
        lines = text.splitlines()[1 if is_cut else 0 :]
        return {"lines": [{"text": render(line), "level": _level(line)} for line in lines], "next": end}

    def _files(self) -> dict[str, Path]:
        root = self._emulator.folder / "logs"
        return {file.relative_to(root).as_posix().removesuffix(".log"): file for file in sorted(root.rglob("*.log"))}


def _whole_lines(file: Path, start: int, most: int) -> tuple[str, int]:
    """Return the lines that have ended, from a position on, and the position after them."""
    if not file.exists():
        return "", start
    with file.open("rb") as opened:
        opened.seek(max(0, start))
        read = opened.read(most)
    # A line longer than all that is read at once is given in pieces.
    whole = read if len(read) == most and b"\n" not in read else read[: read.rfind(b"\n") + 1]
    return whole.decode("utf-8", "replace"), max(0, start) + len(whole)


def _level(line: str) -> str:
    """Return the level of a line that is a JSON object; "" of another."""
    try:
        told = json.loads(line)
    except ValueError:
        return ""
    return str(told.get("level", "")).lower() if isinstance(told, dict) else ""
