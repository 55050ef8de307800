"""The log of a job or an endpoint, as CloudWatch Logs has it: what is new in it, and its last lines."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

import click

from byoc_cli.docker.log_lines import render
from byoc_cli.sagemaker.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from byoc_cli.sagemaker.cloud import Cloud

GROUPS = "/aws/sagemaker/"
KEPT = 15
STREAMS = 50
MOST_PAGES = 20


def _host(stream: str) -> str:
    """Return the host that a stream is of: algo-1 of job/algo-1-1790000000."""
    return re.sub(r"-\d{8,}$", "", stream.rpartition("/")[2])


class LogTail:
    """The streams of one thing.

    Args:
        cloud: where they are.
        group: ``TrainingJobs``, ``TransformJobs`` or ``Endpoints/NAME``.
        prefix: of the streams' names; "" for the newest of the group.

    Attributes:
        last: the last lines that were seen, those of several hosts with their names before them.
        problem: why there may be lines that were not seen; "" without one.
    """

    def __init__(self, cloud: Cloud, group: str, prefix: str = "") -> None:
        self._cloud = cloud
        self._group = GROUPS + group
        self._prefix = prefix
        self._read_to: dict[str, str] = {}
        self.last: deque[str] = deque(maxlen=KEPT)
        self.problem = ""

    def new_lines(self) -> Iterator[str]:
        """Yield what has been written since the last time. A log that cannot be read stops nothing."""
        if self.problem:
            return
        try:
            streams = self._streams()
            for stream in streams:
                mark = f"{_host(stream)}  " if len(streams) > 1 else ""
                for line in self._of_stream(stream):
                    self.last.append(mark + line)
                    yield self.last[-1]
        except Refused as error:
            if not error.is_missing:
                self.problem = f"its log cannot be read: {error.message}"
        except click.ClickException:
            return  # nothing answers just now

    def last_lines(self) -> list[str]:
        """Return the last lines there are."""
        if not self.last:
            for _ in self.new_lines():
                pass
        return list(self.last)

    def _streams(self) -> list[str]:
        """Return the streams; of an endpoint the newest, since what is older writes on while that fails to start."""
        latest = {"orderBy": "LastEventTime", "descending": True}
        narrowed = {"logStreamNamePrefix": self._prefix} if self._prefix else latest
        found = self._cloud.read("logs", "DescribeLogStreams", logGroupName=self._group, limit=STREAMS, **narrowed)
        streams = sorted(found["logStreams"], key=lambda stream: int(stream["creationTime"]))
        return [str(each["logStreamName"]) for each in (streams if self._prefix else streams[-1:])]

    def _of_stream(self, stream: str) -> Iterator[str]:
        """Yield a stream's new lines; its end is where the token stays the same."""
        for _ in range(MOST_PAGES):
            token = self._read_to.get(stream)
            where = {"nextToken": token} if token else {}
            answer = self._cloud.read(
                "logs", "GetLogEvents", logGroupName=self._group, logStreamName=stream, startFromHead=True, **where
            )
            self._read_to[stream] = answer["nextForwardToken"]
            for event in answer["events"]:
                yield render(event["message"])
            if answer["nextForwardToken"] == token:
                return
