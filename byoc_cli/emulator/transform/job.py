"""A transform job from its objects to theirs: each split, sent, put together; uploaded when all of it is done."""

from __future__ import annotations

import gzip
import shutil
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

from byoc_cli.emulator.errors import ApiError
from byoc_cli.emulator.hosting.calls import CallError, ContainerError, call
from byoc_cli.emulator.hosting.containers import StartError
from byoc_cli.emulator.hosting.instances import Invocation
from byoc_cli.emulator.storage import StorageError, below, shards
from byoc_cli.emulator.transform import parameters, records
from byoc_cli.emulator.transform.errors import AlgorithmError, DataError
from byoc_cli.emulator.transform.processing import Processing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from byoc_cli.emulator.emulator import Emulator
    from byoc_cli.emulator.hosting.instances import Instance
    from byoc_cli.emulator.transform.parameters import Parameters
    from byoc_cli.emulator.transform.records import Batch

GROUP = "TransformJobs"
SECONDS, RETRIES = 600, 3
PARAMETERS_SECONDS = 60
# Before a request is sent again: doubled each time.
PAUSE = 0.5
PIECE = 1 << 16
FAULT = 500
SHOWN = 300


@dataclass(frozen=True)
class Work:
    """What an instance's objects are done with.

    Attributes:
        instance: that answers.
        settled: how it is to be asked.
        senders: threads that send requests.
    """

    instance: Instance
    settled: Parameters
    senders: ThreadPoolExecutor


class Job:
    """A job.

    Args:
        emulator: whose storage it uses.
        request: CreateTransformJob's.
        start: starts an instance with its model, given the stream of its log and its environment.

    Attributes:
        stopping: set to stop it.
        objects: how many there are.
        finished: how many of them are done, or have failed.
        requests: how many were answered.
    """

    def __init__(
        self,
        emulator: Emulator,
        request: Mapping[str, Any],
        start: Callable[[str, Mapping[str, str]], Instance],
    ) -> None:
        self.stopping = threading.Event()
        self.objects = self.finished = self.requests = 0
        self._emulator = emulator
        self._request = request
        self._start = start
        self._name = request["TransformJobName"]
        self._processing = Processing(request)
        client = request.get("ModelClientConfig", {})
        self._seconds = client.get("InvocationsTimeoutInSeconds", SECONDS)
        self._tries = 1 + client.get("InvocationsMaxRetries", RETRIES)
        wanted = {
            "Content-Type": request["TransformInput"].get("ContentType"),
            "Accept": request["TransformOutput"].get("Accept"),
        }
        self._headers = {name: value for name, value in wanted.items() if value}
        self._failures: list[str] = []
        self._instances: list[Instance] = []
        self._lock = threading.Lock()

    def run(self) -> str:
        """Do all of it; return why it failed, "" where it did not. A job that was stopped leaves no output."""
        folder = self._emulator.work_folder("transform", self._name)
        try:
            found = self._emulator.storage.listed(self._request["TransformInput"]["DataSource"]["S3DataSource"])
            self.objects = len(found)
            shares = [share for share in shards(found, self._request["TransformResources"]["InstanceCount"]) if share]
            with ThreadPoolExecutor(len(shares)) as pool:
                list(pool.map(self._do_share, range(1, len(shares) + 1), shares, repeat(folder)))
            if not self.stopping.is_set():
                self._emulator.storage.upload_folder(folder, self._request["TransformOutput"]["S3OutputPath"])
        except (StorageError, StartError, DataError, CallError, ApiError) as error:
            self._fail(error)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return self._reason()

    def stop(self) -> None:
        """Make it end: what is on its way is given up."""
        self.stopping.set()
        for instance in list(self._instances):
            instance.close()

    def _do_share(self, number: int, share: Sequence[tuple[str, str]], folder: Path) -> None:
        """Transform the objects of an instance, with as many requests at a time as was settled.

        Raises:
            StartError, CallError, DataError: the instance does not come up, or does not say how it is to be asked.
        """
        instance = self._start(f"{self._name}/algo-{number}", parameters.environment(self._request))
        self._instances.append(instance)
        try:
            told = call(instance.url, "GET", "/execution-parameters", seconds=PARAMETERS_SECONDS)
            settled = parameters.settle(self._request, parameters.read(told.status, told.body))
            self._log(str(settled))
            # Small objects go side by side, of large ones the requests do.
            with ThreadPoolExecutor(settled.concurrent) as senders, ThreadPoolExecutor(settled.concurrent) as objects:
                work = Work(instance, settled, senders)
                list(objects.map(self._do_object, repeat(work), *zip(*share, strict=True), repeat(folder)))
        finally:
            instance.close()

    def _do_object(self, work: Work, uri: str, name: str, folder: Path) -> None:
        """Transform an object, or note why it cannot be: the others go on."""
        if self.stopping.is_set():
            return
        try:
            output = self._transformed(work, uri)
            file = below(folder, f"{name}.out")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(output)
        except (DataError, StorageError) as error:
            self._fail(error, f"{uri}: ")
        with self._lock:
            self.finished += 1

    def _fail(self, error: Exception, where: str = "") -> None:
        """Note a failure; what follows from a stop is none."""
        if self.stopping.is_set():
            return
        told = f"{_blame(error)}: {where}{error}"
        self._log(told)
        with self._lock:
            self._failures.append(told)

    def _transformed(self, work: Work, uri: str) -> bytes:
        """Return the output for an object.

        Raises:
            DataError, StorageError: there is none.
        """
        found = records.split(self._content(uri), self._request["TransformInput"].get("SplitType", "None"))
        chosen = found if self._processing.takes_all else [self._selected(each) for each in found]
        single, megabytes = work.settled.strategy == "SINGLE_RECORD", work.settled.megabytes

        def send(batch: Batch) -> bytes:
            whole = [record.framed for record in found[batch.first : batch.first + batch.count]]
            return self._processing.finish(whole, self._answer(work, batch))

        answers = work.senders.map(send, list(records.batches(chosen, single=single, megabytes=megabytes)))
        return records.assemble(answers, self._request["TransformOutput"].get("AssembleWith", "None"))

    def _selected(self, record: records.Record) -> records.Record:
        selected = self._processing.select(record.alone)
        return records.Record(selected, selected)

    def _content(self, uri: str) -> bytes:
        content = self._emulator.storage.read(uri)
        if self._request["TransformInput"].get("CompressionType", "None") == "None":
            return content
        try:
            return gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"CompressionType is Gzip, and the object is none: {error}") from error

    def _answer(self, work: Work, batch: Batch) -> bytes:
        """Send a request until it is answered: again after a fault of the container's, not after one of the data's.

        Raises:
            DataError: it was refused, or failed as often as it may.
        """
        for left in reversed(range(self._tries)):
            if self.stopping.is_set():
                raise DataError("the job was stopped")
            body = batch.body if work.settled.megabytes else _pieces(batch.body)
            try:
                answer = work.instance.answer(Invocation(body, self._headers, self._seconds))
            except ContainerError as fault:
                if 0 < fault.status < FAULT:
                    raise DataError(_told(fault)) from fault
                if not left:
                    raise AlgorithmError(_told(fault)) from fault
            else:
                with self._lock:
                    self.requests += 1
                return answer.body
            self.stopping.wait(PAUSE * 2 ** (self._tries - 1 - left))
        raise AssertionError

    def _reason(self) -> str:
        if not self._failures:
            return ""
        more = f" (and {len(self._failures) - 1} more: byoc emulator logs {GROUP})" if len(self._failures) > 1 else ""
        return self._failures[0][: 1024 - len(more)] + more

    def _log(self, line: str) -> None:
        """Write into the job's own stream, as the platform does."""
        file = self._emulator.log_file(GROUP, f"{self._name}/data-log")
        file.parent.mkdir(parents=True, exist_ok=True)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with self._lock, file.open("a", encoding="utf-8") as output:
            output.write(f"{now} [data-log] {line}\n")


def _pieces(body: bytes) -> Iterator[bytes]:
    """Yield a body in pieces, which are sent in chunks, without a length."""
    for start in range(0, len(body), PIECE):
        yield body[start : start + PIECE]


def _told(fault: ContainerError) -> str:
    """Return what a container answered in place of predictions, short."""
    said = fault.body.decode("utf-8", "replace").strip()[:SHOWN] or "no message"
    return f"Bad HTTP status received from algorithm: {fault.status}; {said}" if fault.status else said


def _blame(error: Exception) -> str:
    """Return AWS's word for whose fault a failure is."""
    return "AlgorithmError" if isinstance(error, AlgorithmError | CallError | StartError) else "ClientError"
