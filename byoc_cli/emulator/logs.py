"""CloudWatch Logs, as far as reading the logs of jobs and endpoints takes: they are files of the state folder."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from byoc_cli.emulator.api import read, respond
from byoc_cli.emulator.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from werkzeug import Request as HttpRequest
    from werkzeug import Response

    Request = dict[str, Any]

PREFIX = "Logs_20140328."
GROUPS = "/aws/sagemaker/"
SUFFIX = ".log"
MOST_EVENTS = 10_000
MOST_BYTES = 1 << 20
# A token is where in the file to go on.
FORWARD, BACKWARD = "f/", "b/"


class Logs:
    """The operations.

    Args:
        folder: of the files: group, stream, and ``.log``.
        region: of the ARNs.
        account: of the ARNs.
    """

    def __init__(self, folder: Path, region: str, account: str) -> None:
        self._folder = folder
        self._created: dict[Path, float] = {}
        self._arn = f"arn:aws:logs:{region}:{account}:log-group"

    def file(self, group: str, stream: str) -> Path:
        """Return the file of a new stream: group ``TrainingJobs`` or ``Endpoints/name``, as CloudWatch names them."""
        file = self._folder / group / f"{stream}{SUFFIX}"
        self._created.setdefault(file, time.time())
        return file

    def answer(self, request: HttpRequest) -> Response:
        """Answer a request."""
        operation = request.headers["X-Amz-Target"].removeprefix(PREFIX)
        return respond(operation, lambda: self.call(operation, read(request.get_data())))

    def call(self, operation: str, request: Request) -> Request:
        """Do an operation.

        Raises:
            ApiError: it is refused, or not emulated.
        """
        operations: dict[str, Callable[[Request], Request]] = {
            "DescribeLogGroups": self._groups,
            "DescribeLogStreams": self._streams,
            "GetLogEvents": self._events,
            "FilterLogEvents": self._filtered,
        }
        if operation not in operations:
            known = ", ".join(operations)
            raise ApiError("UnknownOperationException", f"{operation} is not emulated here; these are: {known}", 404)
        return operations[operation](request)

    def _groups(self, request: Request) -> Request:
        prefix = request.get("logGroupNamePrefix", "")
        names = {_group_of(file.relative_to(self._folder)) for file in self._folder.rglob(f"*{SUFFIX}")}
        found = [name for name in sorted(names) if name.startswith(prefix)]
        return {"logGroups": [{"logGroupName": name, "arn": f"{self._arn}:{name}:*"} for name in found]}

    def _streams(self, request: Request) -> Request:
        group, prefix = _group(request), request.get("logStreamNamePrefix", "")
        streams = [
            {
                "logStreamName": name,
                "arn": f"{self._arn}:{group}:log-stream:{name}",
                "creationTime": int(self._created.get(file, file.stat().st_mtime) * 1000),
                "lastEventTimestamp": int(file.stat().st_mtime * 1000),
            }
            for name, file in self._files(group)
            if name.startswith(prefix)
        ]
        if request.get("orderBy") == "LastEventTime":
            streams.sort(key=lambda stream: int(str(stream["lastEventTimestamp"])))
        if request.get("descending"):
            streams.reverse()
        start = int(request.get("nextToken", 0))
        end = start + int(request.get("limit", 50))
        more = {"nextToken": str(end)} if end < len(streams) else {}
        return {"logStreams": streams[start:end], **more}

    def _events(self, request: Request) -> Request:
        """Answer GetLogEvents: whole lines from where the token says; the same token again where there are none."""
        group, stream = _group(request), request.get("logStreamName", "")
        file = dict(self._files(group)).get(stream)
        if file is None:
            raise ApiError("ResourceNotFoundException", "The specified log stream does not exist.")
        token = str(request.get("nextToken", ""))
        start = int(token.removeprefix(FORWARD)) if token.startswith(FORWARD) else 0
        lines = list(_lines(file, start, MOST_BYTES))
        if not token and not request.get("startFromHead"):
            lines = lines[-int(request.get("limit", MOST_EVENTS)) :]
        lines = lines[: int(request.get("limit", MOST_EVENTS))]
        begin = lines[0][0] if lines else start
        end = lines[-1][1] if lines else start
        return {
            "events": [{"timestamp": moment, "ingestionTime": moment, "message": text} for _, _, moment, text in lines],
            "nextForwardToken": f"{FORWARD}{end}",
            "nextBackwardToken": f"{BACKWARD}{begin}",
        }

    def _filtered(self, request: Request) -> Request:
        """Answer FilterLogEvents; of patterns those that are a text to be found."""
        group, prefix = _group(request), request.get("logStreamNamePrefix", "")
        wanted, pattern = request.get("logStreamNames"), request.get("filterPattern", "").strip('"')
        since, until = request.get("startTime", 0), request.get("endTime", float("inf"))
        events = [
            {
                "logStreamName": name,
                "timestamp": moment,
                "ingestionTime": moment,
                "message": text,
                "eventId": f"{name}/{end}",
            }
            for name, file in self._files(group)
            if name.startswith(prefix) and (wanted is None or name in wanted)
            for _, end, moment, text in _lines(file, 0, file.stat().st_size)
            if pattern in text and since <= moment <= until
        ]
        events.sort(key=lambda event: int(str(event["timestamp"])))
        return {"events": events[: int(request.get("limit", MOST_EVENTS))], "searchedLogStreams": []}

    def _files(self, group: str) -> list[tuple[str, Path]]:
        """Return a group's streams and their files.

        Raises:
            ApiError: there is no such group.
        """
        name = group.removeprefix(GROUPS)
        folder = self._folder / name
        inside = folder.is_dir() and ".." not in PurePosixPath(name).parts
        files = sorted(folder.rglob(f"*{SUFFIX}")) if inside and group.startswith(GROUPS) else []
        if not files:
            raise ApiError("ResourceNotFoundException", "The specified log group does not exist.")
        return [(file.relative_to(folder).as_posix().removesuffix(SUFFIX), file) for file in files]


def _group(request: Request) -> str:
    return str(request.get("logGroupName") or request.get("logGroupIdentifier", "").rpartition(":")[2])


def _group_of(file: Path) -> str:
    """Return the group that a file is of: endpoints have one each."""
    return GROUPS + "/".join(file.parts[: 2 if file.parts[0] == "Endpoints" else 1])


def _lines(file: Path, start: int, most: int) -> Iterator[tuple[int, int, int, str]]:
    """Yield the whole lines of so many bytes: where each begins and ends, its time in milliseconds, its text."""
    written = int(file.stat().st_mtime * 1000)
    with file.open("rb") as log:
        log.seek(start)
        for line in log.read(most).splitlines(keepends=True):
            if not line.endswith(b"\n") and len(line) < most:
                return
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            if text:  # CloudWatch has no empty events
                yield start, start + len(line), _time(text, written), text
            start += len(line)


def _time(text: str, otherwise: int) -> int:
    """Return when a line was written: our own lines say so."""
    if text.startswith("{"):
        try:
            return int(datetime.fromisoformat(json.loads(text)["time"]).timestamp() * 1000)
        except (ValueError, LookupError, TypeError):
            pass
    return otherwise
