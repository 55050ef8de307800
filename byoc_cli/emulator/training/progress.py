"""Where a job is: its status, and how it came there."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from byoc_cli.emulator.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoc_cli.emulator.store import Table

RUNNING = ("InProgress", "Stopping")
FAILED = ("Failed", "Failed", "Training job failed")
LOST = "InternalServerError: the emulator ended while this job ran"


class Progress:
    """The status of a job in its record.

    Args:
        table: has the record.
        name: the job's.
    """

    def __init__(self, table: Table, name: str) -> None:
        self._table = table
        self._name = name
        self._lock = threading.Lock()

    def move(self, secondary: str, message: str, **values: Any) -> None:
        """Enter a SecondaryStatus, or tell more of the one that the job is in; change other members with it."""
        with self._lock:
            self._move(secondary, message, **values)

    def stop(self) -> None:
        """Enter Stopping.

        Raises:
            ApiError: the job does not run.
        """
        with self._lock:
            status = self._table.get(self._name)["TrainingJobStatus"]
            if status not in RUNNING:
                raise invalid(f"The request was rejected because the training job is in status {status}.")
            if status == "InProgress":
                self._move("Stopping", "Stopping the training job", TrainingJobStatus="Stopping")

    def end(self, status: str, secondary: str, message: str, values: Mapping[str, Any]) -> None:
        """Enter a status that is the last."""
        now = time.time()
        with self._lock:
            self._move(secondary, message, now, is_last=True, TrainingJobStatus=status, TrainingEndTime=now, **values)

    def _move(
        self, secondary: str, message: str, now: float | None = None, *, is_last: bool = False, **values: Any
    ) -> None:
        now = now or time.time()
        transitions = [dict(each) for each in self._table.get(self._name)["SecondaryStatusTransitions"]]
        if transitions and transitions[-1]["Status"] == secondary:
            transitions[-1]["StatusMessage"] = message
        else:
            if transitions:
                transitions[-1].setdefault("EndTime", now)
            transitions.append({"Status": secondary, "StartTime": now, "StatusMessage": message})
        if is_last:
            transitions[-1]["EndTime"] = now
        self._table.update(self._name, SecondaryStatus=secondary, SecondaryStatusTransitions=transitions, **values)


def mark_lost(table: Table) -> None:
    """End the jobs that an earlier emulator left running: their containers are gone with it."""
    for record in table.all():
        if record["TrainingJobStatus"] in RUNNING:
            Progress(table, record["TrainingJobName"]).end(*FAILED, {"FailureReason": LOST})
