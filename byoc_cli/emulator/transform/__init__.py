"""The room of batch transform: jobs that send all objects below a prefix to a model, and keep its answers beside."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from byoc_cli.emulator import validation
from byoc_cli.emulator.emulator import Room
from byoc_cli.emulator.errors import invalid
from byoc_cli.emulator.hosting import Hosting
from byoc_cli.emulator.hosting.parameters import check
from byoc_cli.emulator.storage import split
from byoc_cli.emulator.store import page
from byoc_cli.emulator.transform import parameters
from byoc_cli.emulator.transform.job import GROUP, Job

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoc_cli.emulator.api import Operation
    from byoc_cli.emulator.emulator import Emulator
    from byoc_cli.emulator.hosting.instances import Instance

# Of each structure, the members that are emulated, and those that do nothing, with the reason.
DONE = {
    "TransformInput": ({"DataSource", "ContentType", "CompressionType", "SplitType"}, {}),
    "TransformOutput": (
        {"S3OutputPath", "Accept", "AssembleWith"},
        {"KmsKeyId": "the emulator's S3 encrypts nothing"},
    ),
    "TransformResources": (
        {"InstanceCount"},
        {
            "InstanceType": "this machine is every instance",
            "VolumeKmsKeyId": "no volume is encrypted",
            "TransformAmiVersion": "the engine is this machine's",
        },
    ),
    "DataProcessing": ({"InputFilter", "OutputFilter", "JoinSource"}, {}),
    "ModelClientConfig": ({"InvocationsTimeoutInSeconds", "InvocationsMaxRetries"}, {}),
}
PLAIN = (
    "TransformJobName",
    "ModelName",
    "MaxConcurrentTransforms",
    "MaxPayloadInMB",
    "BatchStrategy",
    "Environment",
    "Tags",
)
KINDS = ("S3Prefix", "ManifestFile")
FAULT = "InternalServerError"
ENDED = ("Completed", "Failed", "Stopped")
LISTED = (
    "TransformJobName",
    "TransformJobArn",
    "CreationTime",
    "TransformEndTime",
    "LastModifiedTime",
    "TransformJobStatus",
    "FailureReason",
)


class TransformJobs(Room):
    """The room.

    Args:
        emulator: that it is of.
    """

    done: ClassVar[Mapping[str, frozenset[str]]] = {"CreateTransformJob": frozenset({*DONE, *PLAIN})}
    not_emulated: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "CreateTransformJob": {"ExperimentConfig": "experiments are not kept"}
    }

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(emulator)
        self._table = emulator.table("transform-job", "transform job")
        self._running: dict[str, Job] = {}
        for record in self._table.all():
            if record["TransformJobStatus"] not in ENDED:
                self._end(
                    record["TransformJobName"], "Failed", "InternalServerError: the emulator ended before the job"
                )

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Return the operations."""
        return {
            "CreateTransformJob": self._create,
            "DescribeTransformJob": self._describe,
            "ListTransformJobs": self._list,
            "StopTransformJob": self._stop,
        }

    def progress(self, name: str) -> dict[str, int]:
        """Return how far a job is that runs; {} of one that does not."""
        job = self._running.get(name)
        return {} if job is None else {"objects": job.objects, "finished": job.finished, "requests": job.requests}

    def resume(self) -> None:
        """End the jobs that an earlier emulator left on their way, where it had no time to."""
        for record in self._table.all():
            if record["TransformJobStatus"] not in ENDED:
                self._end(record["TransformJobName"], "Failed", f"{FAULT}: the emulator was gone before the job's end")

    def close(self) -> None:
        """Stop all jobs."""
        for name, job in list(self._running.items()):
            job.stop()
            self._end(name, "Failed", f"{FAULT}: the emulator was stopped")

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["TransformJobName"]
        _check(request)
        self._check_model(request["ModelName"])
        job = Job(self.emulator, request, lambda *told: self._start(request["ModelName"], *told))
        record = {key: value for key, value in request.items() if key != "Tags"}
        arn = self._table.arn(name)
        self._table.add(name, {**record, "TransformJobArn": arn, "TransformJobStatus": "InProgress"})
        self.emulator.tags.add(arn, request.get("Tags"))
        self._running[name] = job
        self.emulator.background(lambda: self._run(name, job), f"transform {name}")
        return {"TransformJobArn": arn}

    def _run(self, name: str, job: Job) -> None:
        self._table.update(name, TransformStartTime=time.time())
        reason = f"{FAULT}: the emulator failed; its log has the cause"
        try:
            reason = job.run()
        finally:
            self._running.pop(name, None)
            if not self.emulator.closing.is_set():
                status = "Stopped" if job.stopping.is_set() else "Failed" if reason else "Completed"
                self._end(name, status, reason if status == "Failed" else None)

    def _end(self, name: str, status: str, reason: str | None) -> None:
        self._table.update(name, TransformJobStatus=status, FailureReason=reason, TransformEndTime=time.time())

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        shape: Any = validation.model().operation_model("DescribeTransformJob").output_shape
        record = self._table.get(request["TransformJobName"])
        return {key: value for key, value in record.items() if key in shape.members}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        return page(self._table.all(), request, "TransformJobSummaries", LISTED, "TransformJobName")

    def _stop(self, request: dict[str, Any]) -> None:
        name = request["TransformJobName"]
        status = self._table.get(name)["TransformJobStatus"]
        job = self._running.get(name)
        if status in ENDED or job is None:
            raise invalid(f"The request was rejected because the transform job is in status {status}.")
        self._table.update(name, TransformJobStatus="Stopping")
        job.stopping.set()
        self.emulator.background(job.stop, f"stop of transform {name}")

    def _check_model(self, name: str) -> None:
        """Refuse a model that cannot be used here.

        Raises:
            ApiError: there is none, or it is many.
        """
        model = self.emulator.api.call("DescribeModel", {"ModelName": name}) or {}
        containers = model.get("Containers") or [model.get("PrimaryContainer", {})]
        if any(each.get("Mode") == "MultiModel" for each in containers):
            raise invalid(f"Batch transform does not take a model whose container has the Mode MultiModel: {name}")

    def _start(self, model: str, stream: str, environment: Mapping[str, str]) -> Instance:
        hosting = next(room for room in self.emulator.rooms if isinstance(room, Hosting))
        return hosting.start_instance(model, group=GROUP, stream=stream, environment=environment)


def _check(request: Mapping[str, Any]) -> None:
    """Refuse what is not emulated, or cannot be.

    Raises:
        ApiError: there is such.
    """
    for name, (done, excused) in DONE.items():
        check(name, request.get(name, {}), done, excused)
    source = request["TransformInput"]["DataSource"]["S3DataSource"]
    if source["S3DataType"] not in KINDS:
        raise invalid(f"S3DataType {source['S3DataType']} is not emulated here; these are: {', '.join(KINDS)}")
    split(source["S3Uri"])
    split(request["TransformOutput"]["S3OutputPath"])
    parameters.check(request)
