"""A training job, from its first status to its last, in a thread of its own."""

from __future__ import annotations

import enum
import itertools
import logging
import math
import shutil
import threading
import time
from typing import TYPE_CHECKING, Any

from byoc_cli.emulator.containers import EngineError
from byoc_cli.emulator.errors import ApiError, invalid
from byoc_cli.emulator.storage import StorageError
from byoc_cli.emulator.training import hosts, outcome
from byoc_cli.emulator.training.attempt import Attempt
from byoc_cli.emulator.training.channels import Channel
from byoc_cli.emulator.training.metrics import Metrics
from byoc_cli.emulator.training.progress import FAILED, Progress

if TYPE_CHECKING:
    from pathlib import Path

    from byoc_cli.emulator.emulator import Emulator
    from byoc_cli.emulator.store import Table

log = logging.getLogger(__name__)

# As the platform gives a container to end by itself.
NOTICE_SECONDS = 120
POLL_SECONDS = 0.2
SYNC_SECONDS = 2.0
INTERNAL = "InternalServerError: the emulator failed; its log has the cause"


class End(enum.Enum):
    """Why an attempt is over: by itself, or told so."""

    EXITED = ("Completed", "Completed", "Training job completed")
    STOPPED = ("Stopped", "Stopped", "Training job stopped")
    MAX_RUNTIME = ("Stopped", "MaxRuntimeExceeded", "Training job runtime exceeded MaxRuntimeInSeconds provided")
    MAX_WAIT = ("Stopped", "MaxWaitTimeExceeded", "Training job waited longer than MaxWaitTimeInSeconds provided")
    INTERRUPTED = ("", "Interrupted", "The spot instances were taken away. The training job will be started again")


class Closed(Exception):  # noqa: N818 - no error
    """The emulator ends; the next one will tell what became of the job."""


class Job:
    """A job that runs.

    Args:
        emulator: what it runs on.
        table: has its record.
        name: its own.
    """

    def __init__(self, emulator: Emulator, table: Table, name: str) -> None:
        self._emulator = emulator
        self._table = table
        self._record = table.get(name)
        self._progress = Progress(table, name)
        self._metrics = Metrics(
            self._record["AlgorithmSpecification"].get("MetricDefinitions", []),
            metrics_file(emulator, name),
        )
        self._stopped = threading.Event()
        self._interrupted = threading.Event()
        self._training = threading.Event()
        # What is billed, and counts against MaxRuntimeInSeconds: not the time between two attempts.
        self._seconds = 0.0
        self._synced = 0.0

    def stop(self) -> None:
        """Have it stopped.

        Raises:
            ApiError: it has ended.
        """
        self._progress.stop()
        self._stopped.set()

    def interrupt(self) -> None:
        """Take its instances away, as happens to spot ones.

        Raises:
            ApiError: it has none, or does not train at the moment.
        """
        if not self._record.get("EnableManagedSpotTraining"):
            raise invalid("only a job with EnableManagedSpotTraining can be interrupted")
        if not self._training.is_set():
            raise invalid("the job is not training at the moment; try again when its SecondaryStatus is Training")
        self._interrupted.set()

    def run(self) -> None:
        """Run it to its end."""
        work = self._emulator.work_folder("training", self._record["TrainingJobName"])
        try:
            self._run(work)
        except Closed:
            pass
        except (StorageError, EngineError, ApiError) as error:
            self._fail(f"ClientError: {error}")
        except Exception:
            log.exception("training job %s failed", self._record["TrainingJobName"])
            self._fail(INTERNAL)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _run(self, work: Path) -> None:
        algorithm = self._record["AlgorithmSpecification"]
        channels = [
            Channel.read(each, algorithm["TrainingInputMode"]) for each in self._record.get("InputDataConfig", [])
        ]
        machines = hosts.of(self._record["ResourceConfig"])
        for number in itertools.count():
            self._progress.move("Starting", "Preparing the instances for training")
            attempt = Attempt(self._emulator, self._record, channels, machines, work / str(number))
            try:
                end = self._try(attempt)
                if end is not End.INTERRUPTED:
                    self._finish(attempt, end)
                    return
            finally:
                attempt.end()
            shutil.rmtree(work / str(number), ignore_errors=True)
            self._progress.move(*end.value[1:])
            self._interrupted.clear()

    def _try(self, attempt: Attempt) -> End:
        """Run the job once; return why it ended."""
        began = time.monotonic()
        started = self._table.get(self._record["TrainingJobName"]).get("TrainingStartTime", time.time())
        self._progress.move("Downloading", "Downloading input data", TrainingStartTime=started)
        try:
            attempt.prepare()
        except StorageError as error:
            raise StorageError(f"Data download failed: {error}") from error
        if end := self._told(began):
            return end
        attempt.start()
        self._progress.move("Training", "Training image download completed. Training in progress.")
        self._training.set()
        end = self._watch(attempt, began)
        self._training.clear()
        # Only the hosts of a job that ends otherwise than by a failure are asked to.
        attempt.end(0 if end is End.EXITED else NOTICE_SECONDS)
        self._read_metrics(attempt, to_the_end=True)
        attempt.save_checkpoints()
        self._seconds += time.monotonic() - began
        return end

    def _watch(self, attempt: Attempt, began: float) -> End:
        while attempt.runs:
            if end := self._told(began):
                return end
            attempt.look()
            self._read_metrics(attempt)
            if time.monotonic() - self._synced > SYNC_SECONDS:
                attempt.save_checkpoints()
                self._synced = time.monotonic()
            self._stopped.wait(POLL_SECONDS)
        if self._emulator.closing.is_set():
            raise Closed
        attempt.look()
        return End.EXITED

    def _told(self, began: float) -> End | None:
        """Return why the attempt is to end now, None where it is not.

        Raises:
            Closed: the emulator ends.
        """
        if self._emulator.closing.is_set():
            raise Closed
        if self._stopped.is_set():
            return End.STOPPED
        condition = self._record["StoppingCondition"]
        if time.time() - self._record["CreationTime"] > condition.get("MaxWaitTimeInSeconds", math.inf):
            return End.MAX_WAIT
        if self._seconds + time.monotonic() - began > condition["MaxRuntimeInSeconds"]:
            return End.MAX_RUNTIME
        return End.INTERRUPTED if self._interrupted.is_set() else None

    def _read_metrics(self, attempt: Attempt, *, to_the_end: bool = False) -> None:
        if self._metrics.read(attempt.logs, to_the_end=to_the_end):
            self._table.update(self._record["TrainingJobName"], FinalMetricDataList=list(self._metrics.final.values()))

    def _finish(self, attempt: Attempt, end: End) -> None:
        """Move what the job left to S3 and tell how it ended."""
        if self._emulator.closing.is_set():
            raise Closed
        failure = attempt.failure if end is End.EXITED else ""
        values: dict[str, Any] = {}
        self._progress.move("Uploading", "Uploading generated training model")
        try:
            self._upload("output", [machine.ml / "output" / "data" for machine in attempt.machines])
            if not failure:
                models = [machine.ml / "model" for machine in attempt.machines]
                uri = self._upload("model", models, always=end is End.EXITED)
                values["ModelArtifacts"] = {"S3ModelArtifacts": uri} if uri else None
        except StorageError as error:
            raise StorageError(f"Artifact upload failed: {error}") from error
        if failure:
            self._fail(failure)
        else:
            status, secondary, message = end.value
            self._progress.end(status, secondary, message, values | self._times())

    def _upload(self, kind: str, folders: list[Path], *, always: bool = False) -> str:
        """Upload folders where there is something in them; return where to, "" where not."""
        # A job that was stopped early has not even folders.
        found = [folder for folder in folders if folder.is_dir()]
        if not found or not (always or any(path.is_file() for folder in found for path in folder.rglob("*"))):
            return ""
        name = self._record["TrainingJobName"]
        return outcome.upload(self._emulator.storage, self._record["OutputDataConfig"], name, kind, found)

    def _fail(self, reason: str) -> None:
        if not self._emulator.closing.is_set():
            reason = reason[: outcome.LONGEST_REASON]
            self._progress.end(*FAILED, {"FailureReason": reason} | self._times())

    def _times(self) -> dict[str, int]:
        started = self._table.get(self._record["TrainingJobName"]).get("TrainingStartTime")
        if started is None:
            return {}
        return {
            "TrainingTimeInSeconds": math.ceil(time.time() - started),
            "BillableTimeInSeconds": math.ceil(self._seconds),
        }


def metrics_file(emulator: Emulator, name: str) -> Path:
    """Return the file that has a job's metrics as they came."""
    return emulator.folder / "metrics" / f"{name}.jsonl"
