"""A running `byoc emulator`, and the clients of it: boto3's own, over HTTP, as a user has them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from byoc_cli.emulator.state import read
from tests import datasets, program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REGION = "eu-west-1"
BUCKET = "a-bucket"
ROLE = "arn:aws:iam::123456789012:role/byoc"
BYOC = [sys.executable, "-c", "from byoc_cli.main import main; main()", "emulator"]


@dataclass(frozen=True)
class Running:
    """An emulator.

    Attributes:
        state: its state folder.
        address: where it is.
        native: whether it does without Docker.
        port: where it listens.
    """

    state: Path
    address: str
    native: bool
    port: int

    def client(self, service: str) -> Any:
        """Return a client of boto3's, always the same."""
        return _client(self.address, service)

    @cached_property
    def sagemaker(self) -> Any:
        """SageMaker's client."""
        return self.client("sagemaker")

    @cached_property
    def s3(self) -> Any:
        """S3's client."""
        return self.client("s3")

    def put(self, key: str, body: bytes | str) -> str:
        """Write an object into the bucket of tests; return its URI."""
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        return f"s3://{BUCKET}/{key}"

    def put_model(self, folder: Path, key: str) -> str:
        """Pack what is in a folder into an object of the bucket of tests; return its URI."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            archive.add(folder, arcname=".")
        return self.put(key, packed.getvalue())

    def written(self, group: str = "") -> str:
        """Return all that containers of a group have written."""
        return "".join(file.read_text() for file in sorted((self.state / "logs" / group).rglob("*.log")))

    def get(self, uri: str) -> bytes:
        """Return an object's content."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return bytes(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def keys(self, prefix: str = "") -> list[str]:
        """Return the keys below a prefix of the bucket of tests."""
        answer = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return [each["Key"] for each in answer.get("Contents", [])]

    def untar(self, uri: str) -> dict[str, bytes]:
        """Return the files of an archive on S3, by their names."""
        with tarfile.open(fileobj=io.BytesIO(self.get(uri))) as archive:
            return {
                member.name: content.read()
                for member in archive.getmembers()
                if (content := archive.extractfile(member)) is not None
            }

    def channel(self, name: str, uri: str, **more: Any) -> dict[str, Any]:
        """Return an entry of InputDataConfig; ``more`` are further members of it, or of its S3DataSource."""
        source = {"S3DataType", "S3DataDistributionType", "AttributeNames", "InstanceGroupNames"}
        own = {key: value for key, value in more.items() if key in source}
        rest = {key: value for key, value in more.items() if key not in source}
        return {
            "ChannelName": name,
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri, **own}},
            **rest,
        }

    def job(self, name: str, image: str, **more: Any) -> dict[str, Any]:
        """Return a CreateTrainingJob; ``more`` are further parameters, some of which are merged into what there is."""
        request: dict[str, Any] = {
            "TrainingJobName": name,
            "RoleArn": ROLE,
            "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/jobs"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        }
        for key, value in more.items():
            merged = {**request[key], **value} if isinstance(request.get(key), dict) else value
            # None takes a member away.
            request[key] = {k: v for k, v in merged.items() if v is not None} if isinstance(merged, dict) else merged
        return request

    def train(self, name: str, image: str, **more: Any) -> dict[str, Any]:
        """Run a training job to its end; return its description."""
        self.sagemaker.create_training_job(**self.job(name, image, **more))
        return self.ended(name)

    def describe(self, name: str) -> dict[str, Any]:
        """Return a training job's description."""
        return dict(self.sagemaker.describe_training_job(TrainingJobName=name))

    def ended(self, name: str) -> dict[str, Any]:
        """Wait for a training job's end; return its description."""
        waiter = self.sagemaker.get_waiter("training_job_completed_or_stopped")
        # A failed job ends the waiter too, by an error; what to make of it is for the test to say.
        program.wait_until(lambda: self.describe(name)["TrainingJobStatus"] not in ("InProgress", "Stopping"), 250)
        if self.describe(name)["TrainingJobStatus"] != "Failed":
            waiter.wait(TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 1})
        return self.describe(name)

    def logs(self, group: str = "") -> str:
        """Return what `byoc emulator logs` prints."""
        return command("logs", *([group] if group else []), "--lines", "1000", state=self.state).stdout


@cache
def _client(address: str, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=address,
        region_name=REGION,
        aws_access_key_id="emulator",
        aws_secret_access_key="emulator",
        config=Config(retries={"max_attempts": 0}, read_timeout=70),
    )


def command(*words: str, state: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `byoc emulator`."""
    return subprocess.run(
        [*BYOC, *words, "--state", str(state)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environ() | variables,
    )


def environ() -> dict[str, str]:
    """Return this process's variables without those of AWS's, and with any client of Docker's that works."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BYOC_"))}


@contextmanager
def emulating(folder: Path, *, native: bool = False, **variables: str) -> Iterator[Running]:
    """Run an emulator, with an empty bucket, for the length of a with-block; it leaves nothing behind."""
    state = folder / "emulator"
    port = program.free_port()
    started = command(
        "start", "--background", "--port", str(port), *(["--native"] if native else []), state=state, **variables
    )
    assert started.returncode == 0, started.stdout + started.stderr
    running = Running(state, f"http://127.0.0.1:{port}", native, port)
    try:
        if BUCKET not in [each["Name"] for each in running.s3.list_buckets()["Buckets"]]:
            running.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        yield running
    finally:
        is_there = read(state) is not None
        stopped = command("stop", state=state)
    assert (stopped.returncode == 0) == is_there, stopped.stderr


def put_iris(running: Running, prefix: str = "iris") -> str:
    """Write the iris table below a prefix, in three objects; return the prefix's URI."""
    rows = datasets.iris().rows
    for number in range(3):
        running.put(f"{prefix}/{number}.csv", "".join(",".join(row) + "\n" for row in rows[number::3]))
    return f"s3://{BUCKET}/{prefix}"
