"""The operations of training jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from byoc_cli.emulator.containers import EngineError
from byoc_cli.emulator.emulator import Room
from byoc_cli.emulator.errors import ApiError, invalid
from byoc_cli.emulator.store import page
from byoc_cli.emulator.training import progress, request
from byoc_cli.emulator.training.job import Job, metrics_file

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from byoc_cli.emulator.api import Operation
    from byoc_cli.emulator.emulator import Emulator

KIND = "training-job"
CLOSE_SECONDS = 10
SUMMARY = (
    "TrainingJobName",
    "TrainingJobArn",
    "CreationTime",
    "TrainingEndTime",
    "LastModifiedTime",
    "TrainingJobStatus",
    "SecondaryStatus",
)
NO_MACHINES = "there is only this machine"


class TrainingJobs(Room):
    """Training jobs."""

    done: ClassVar[Mapping[str, frozenset[str]]] = {
        "CreateTrainingJob": frozenset(
            {
                "TrainingJobName",
                "HyperParameters",
                "AlgorithmSpecification",
                "RoleArn",
                "InputDataConfig",
                "OutputDataConfig",
                "ResourceConfig",
                "StoppingCondition",
                "Tags",
                "EnableNetworkIsolation",
                "EnableManagedSpotTraining",
                "CheckpointConfig",
                "Environment",
            }
        ),
        "ListTrainingJobs": frozenset(
            {
                "NextToken",
                "MaxResults",
                "CreationTimeAfter",
                "CreationTimeBefore",
                "LastModifiedTimeAfter",
                "LastModifiedTimeBefore",
                "NameContains",
                "StatusEquals",
                "SortBy",
                "SortOrder",
            }
        ),
    }
    not_emulated: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "CreateTrainingJob": {
            "VpcConfig": "there is no VPC",
            "EnableInterContainerTrafficEncryption": "containers of one machine need none",
            "DebugHookConfig": "there is no debugger",
            "DebugRuleConfigurations": "there is no debugger",
            "TensorBoardOutputConfig": "nothing is uploaded while the job runs but checkpoints",
            "ExperimentConfig": "there are no experiments",
            "ProfilerConfig": "there is no profiler",
            "ProfilerRuleConfigurations": "there is no profiler",
            "RetryStrategy": "it is for failures of SageMaker's own machines",
            "RemoteDebugConfig": "use docker exec",
            "InfraCheckConfig": NO_MACHINES,
            "SessionChainingConfig": "roles are not assumed",
            "AlgorithmSpecification.EnableSageMakerMetricsTimeSeries": "the metrics are on the emulator's page",
            "OutputDataConfig.KmsKeyId": "nothing is encrypted",
            "ResourceConfig.VolumeKmsKeyId": "nothing is encrypted",
            "ResourceConfig.KeepAlivePeriodInSeconds": NO_MACHINES,
            "StoppingCondition.MaxPendingTimeInSeconds": "no job waits",
        }
    }

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(emulator)
        self._table = emulator.table(KIND, "training job")
        self._running: dict[str, tuple[Job, threading.Thread]] = {}
        progress.mark_lost(self._table)

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Return the operations."""
        return {
            "CreateTrainingJob": self._create,
            "DescribeTrainingJob": self._describe,
            "ListTrainingJobs": self._list,
            "StopTrainingJob": self._stop,
            "DeleteTrainingJob": self._delete,
        }

    @property
    def controls(self) -> Mapping[str, Operation]:
        """Return the operations that only the emulator has."""
        return {"InterruptTrainingJob": self._interrupt}

    def close(self) -> None:
        """Wait until the jobs have seen that the emulator ends."""
        for _, thread in list(self._running.values()):
            thread.join(CLOSE_SECONDS)

    def _create(self, call: dict[str, Any]) -> dict[str, Any]:
        name, arn = call["TrainingJobName"], self._table.arn(call["TrainingJobName"])
        if name in self._table.names():
            raise _taken(arn)
        request.check(self.emulator, call)
        try:
            self.emulator.engine.resolve(call["AlgorithmSpecification"]["TrainingImage"])
        except EngineError as error:
            raise invalid(str(error)) from error
        tags = call.pop("Tags", [])
        record = {
            **call,
            "TrainingJobArn": arn,
            "StoppingCondition": {
                "MaxRuntimeInSeconds": request.DEFAULT_SECONDS,
                **call.get("StoppingCondition", {}),
            },
            "EnableNetworkIsolation": call.get("EnableNetworkIsolation", False),
            "EnableManagedSpotTraining": call.get("EnableManagedSpotTraining", False),
            "EnableInterContainerTrafficEncryption": call.get("EnableInterContainerTrafficEncryption", False),
            "TrainingJobStatus": "InProgress",
            "SecondaryStatus": "Starting",
            "SecondaryStatusTransitions": [],
        }
        try:
            self._table.add(name, record)
        except ApiError as error:
            raise _taken(arn) from error
        self.emulator.tags.add(arn, tags)
        job = Job(self.emulator, self._table, name)
        self._running[name] = (job, self.emulator.background(lambda: self._run(name, job), f"training job {name}"))
        return {"TrainingJobArn": arn}

    def _run(self, name: str, job: Job) -> None:
        try:
            job.run()
        finally:
            self._running.pop(name, None)

    def _describe(self, call: dict[str, Any]) -> dict[str, Any]:
        return self._record(call)

    def _list(self, call: dict[str, Any]) -> dict[str, Any]:
        return page(self._table.all(), call, "TrainingJobSummaries", SUMMARY, "TrainingJobName")

    def _stop(self, call: dict[str, Any]) -> None:
        self._job(call).stop()

    def _interrupt(self, call: dict[str, Any]) -> None:
        self._job(call).interrupt()

    def _delete(self, call: dict[str, Any]) -> None:
        record = self._record(call)
        if record["TrainingJobStatus"] in progress.RUNNING:
            raise ApiError(
                "ResourceInUse", f"the training job is in status {record['TrainingJobStatus']}; stop it first"
            )
        self._table.remove(record["TrainingJobName"])
        self.emulator.tags.remove(record["TrainingJobArn"])
        metrics_file(self.emulator, record["TrainingJobName"]).unlink(missing_ok=True)

    def _record(self, call: dict[str, Any]) -> dict[str, Any]:
        """Return the record of the job that a request names.

        Raises:
            ApiError: there is none.
        """
        if call["TrainingJobName"] not in self._table.names():
            raise invalid("Requested resource not found.")
        return self._table.get(call["TrainingJobName"])

    def _job(self, call: dict[str, Any]) -> Job:
        """Return the running job that a request names.

        Raises:
            ApiError: there is none, or it has ended.
        """
        record = self._record(call)
        running = self._running.get(record["TrainingJobName"])
        if running is None:
            status = record["TrainingJobStatus"]
            raise invalid(f"The request was rejected because the training job is in status {status}.")
        return running[0]


def _taken(arn: str) -> ApiError:
    return ApiError(
        "ResourceInUse",
        "Training job names must be unique within an AWS account and region, and a training job with this name "
        f"already exists ({arn})",
    )
