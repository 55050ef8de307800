"""Batch transform of the emulator: real containers of our image, asked by boto3 as on AWS."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from tests import datasets, engine
from tests.emulator import BUCKET, ROLE, emulating
from tests.program import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.emulator import Running

pytestmark = pytest.mark.docker

SCRIPTED = Path(__file__).parent / "transforming"
CSV, LINES = "text/csv", "application/jsonlines"


@dataclass(frozen=True)
class Transforming:
    """An emulator with two models: iris, and `scripted`, which does as its lines say."""

    emulator: Running

    def request(self, name: str, source: str, model: str = "scripted", **more: Any) -> dict[str, Any]:
        """Return a CreateTransformJob; ``more`` are members of it, or of its TransformInput and TransformOutput."""
        request: dict[str, Any] = {
            "TransformJobName": name,
            "ModelName": model,
            "TransformInput": {
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{source}"}},
                "ContentType": CSV,
                "SplitType": "Line",
            },
            "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/out/{name}", "Accept": CSV, "AssembleWith": "Line"},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        }
        for key, value in more.items():
            request[key] = {**request.get(key, {}), **value} if isinstance(value, dict) else value
        return request

    def start(self, name: str, source: str, model: str = "scripted", **more: Any) -> None:
        self.emulator.sagemaker.create_transform_job(**self.request(name, source, model, **more))

    def describe(self, name: str) -> dict[str, Any]:
        return dict(self.emulator.sagemaker.describe_transform_job(TransformJobName=name))

    def ended(self, name: str) -> dict[str, Any]:
        wait_until(lambda: self.describe(name)["TransformJobStatus"] not in ("InProgress", "Stopping"), 120, name)
        return self.describe(name)

    def run(self, name: str, source: str, model: str = "scripted", **more: Any) -> dict[str, Any]:
        self.start(name, source, model, **more)
        return self.ended(name)

    def outputs(self, name: str) -> dict[str, str]:
        """Return a job's output objects, by their keys below its path."""
        prefix = f"out/{name}/"
        found = self.emulator.keys(prefix)
        return {key.removeprefix(prefix): self.emulator.get(f"s3://{BUCKET}/{key}").decode() for key in found}

    def answered(self, name: str, host: int = 1) -> int:
        """Return how many requests a host's access log has; nginx names one, too, whose first worker was not there yet."""
        return self.emulator.logs(f"TransformJobs/{name}/algo-{host}").count("POST /invocations request_id=")

    def data_log(self, name: str) -> str:
        return self.emulator.logs(f"TransformJobs/{name}/data-log")


@pytest.fixture(scope="module")
def transforming(image: str, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transforming]:
    folder = tmp_path_factory.mktemp("transforming")
    (folder / "Dockerfile").write_text(f"FROM {image}\nCOPY predictor.py /opt/program/\n")
    (folder / "predictor.py").write_bytes((SCRIPTED / "predictor.py").read_bytes())
    scripted = f"{image}-transforming"
    built = engine.build(scripted, folder)
    assert built.returncode == 0, built.stderr
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.add(trained / "model", arcname=".")
    with emulating(tmp_path_factory.mktemp("emulator")) as running:
        uri = running.put("models/iris.tar.gz", archive.getvalue())
        containers = {
            "iris": {"Image": image, "ModelDataUrl": uri},
            "scripted": {"Image": scripted, "Environment": {"MODEL_SERVER_WORKERS": "2"}},
            "single": {"Image": scripted, "Environment": {"SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD"}},
            "broken": {"Image": image},
        }
        for name, container in containers.items():
            running.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
        yield Transforming(running)
    engine.docker("rmi", "--force", scripted, check=False)


def test_predictions_are_joined_with_what_was_kept_from_the_model(transforming):
    rows = datasets.iris().rows
    for number in range(2):
        body = "".join(
            f"id-{index},{','.join(row[1:])},{row[0]}\n" for index, row in enumerate(rows) if index % 2 == number
        )
        transforming.emulator.put(f"iris/deep/{number}.csv" if number else "iris/0.csv", body)
    transforming.start(
        "joined",
        "iris/",
        "iris",
        DataProcessing={"InputFilter": "$[1:-1]", "JoinSource": "Input", "OutputFilter": "$[0,-2,-1]"},
    )
    waiter = transforming.emulator.sagemaker.get_waiter("transform_job_completed_or_stopped")
    waiter.wait(TransformJobName="joined", WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    outputs = transforming.outputs("joined")
    assert list(outputs) == ["0.csv.out", "deep/1.csv.out"]
    told = [line.split(",") for text in outputs.values() for line in text.splitlines()]
    order = [*range(0, len(rows), 2), *range(1, len(rows), 2)]
    assert [each[0] for each in told] == [f"id-{index}" for index in order]
    assert [each[1] for each in told] == [rows[index][0] for index in order]
    assert sum(truth == predicted for _, truth, predicted in told) > 0.9 * len(rows)


def test_json_lines_are_joined_under_names(transforming):
    rows = datasets.iris().rows[::30]
    records = [{"id": index, "features": [float(each) for each in row[1:]]} for index, row in enumerate(rows)]
    transforming.emulator.put("lines/a.jsonl", "".join(json.dumps(each) + "\n" for each in records))
    described = transforming.run(
        "lines",
        "lines/a.jsonl",
        "iris",
        TransformInput={"ContentType": LINES},
        TransformOutput={"Accept": LINES},
        DataProcessing={"JoinSource": "Input", "OutputFilter": "$['id','SageMakerOutput']"},
    )
    assert described["TransformJobStatus"] == "Completed", described
    told = [json.loads(line) for line in transforming.outputs("lines")["a.jsonl.out"].splitlines()]
    assert [each["id"] for each in told] == [each["id"] for each in records]
    assert {each["SageMakerOutput"]["predicted_label"] for each in told} == {row[0] for row in rows}


def test_a_manifest_names_objects_that_are_compressed(transforming):
    for name in ("a", "b/c", "left-out"):
        transforming.emulator.put(f"packed/{name}.gz", gzip.compress(f"{name}\n".encode()))
    manifest = [{"prefix": f"s3://{BUCKET}/packed/"}, "a.gz", "b/c.gz"]
    uri = transforming.emulator.put("packed.manifest", json.dumps(manifest))
    source = {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": uri}}
    described = transforming.run("packed", "", TransformInput={"DataSource": source, "CompressionType": "Gzip"})
    assert described["TransformJobStatus"] == "Completed", described
    assert transforming.outputs("packed") == {"a.gz.out": "A\n", "b/c.gz.out": "B/C\n"}


@pytest.mark.parametrize(
    ("name", "model", "asked", "settled", "requests"),
    [
        ("told", "single", {}, "MaxPayloadInMB=25, BatchStrategy=SINGLE_RECORD", 3),
        (
            "asked",
            "single",
            {"BatchStrategy": "MultiRecord", "MaxPayloadInMB": 6},
            "MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD",
            1,
        ),
    ],
)
def test_the_request_goes_before_what_the_container_says(transforming, name, model, asked, settled, requests):
    transforming.emulator.put("few/a.csv", "a\nb\nc\n")
    described = transforming.run(name, "few/", model, MaxConcurrentTransforms=2, **asked)
    assert described["TransformJobStatus"] == "Completed", described
    assert transforming.outputs(name) == {"a.csv.out": "A\nB\nC\n"}
    assert f"MaxConcurrentTransforms=2, {settled}" in transforming.data_log(name)
    assert transforming.answered(name) == requests


def test_the_container_is_told_what_the_request_says(transforming):
    transforming.emulator.put("environment.csv", "environment\n")
    asked = {"MaxPayloadInMB": 3, "BatchStrategy": "SingleRecord", "Environment": {"SAGEMAKER_OWN": "1"}}
    transforming.run("environment", "environment.csv", **asked)
    told = json.loads(transforming.outputs("environment")["environment.csv.out"])
    expected = {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "3",
        "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD",
        "SAGEMAKER_OWN": "1",
    }
    assert {name: told.get(name) for name in expected} == expected
    assert "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS" not in told


def test_requests_go_side_by_side_and_objects_to_instances(transforming):
    for name in "abcd":
        transforming.emulator.put(f"meeting/{name}.csv", f"meet {name}\n")
    described = transforming.run(
        "meeting", "meeting/", MaxConcurrentTransforms=2, TransformResources={"InstanceCount": 2}
    )
    assert described["TransformJobStatus"] == "Completed", described
    assert transforming.outputs("meeting") == {f"{name}.csv.out": f"MEET {name.upper()}\n" for name in "abcd"}
    for host in (1, 2):
        assert transforming.answered("meeting", host) == 2


def test_a_fault_is_asked_again_and_a_refusal_is_not(transforming):
    """One object's request works the third time, another's is refused, a third's fails to the end; the fourth is good."""
    lines = {"again": "fail 2 again", "refused": "refuse", "fails": "fail 9 fails", "good": "good"}
    for name, line in lines.items():
        transforming.emulator.put(f"faults/{name}.csv", f"{line}\n")
    client = {"InvocationsMaxRetries": 2}
    described = transforming.run("faults", "faults/", MaxConcurrentTransforms=1, ModelClientConfig=client)
    assert described["TransformJobStatus"] == "Failed"
    assert transforming.outputs("faults") == {"again.csv.out": "TRIED 3\n", "good.csv.out": "GOOD\n"}
    told = transforming.data_log("faults")
    assert (
        f"ClientError: s3://{BUCKET}/faults/refused.csv: Bad HTTP status received from algorithm: 400; a word that is refused"
        in told
    )
    assert f"AlgorithmError: s3://{BUCKET}/faults/fails.csv: Bad HTTP status received from algorithm: 500" in told
    assert described["FailureReason"].startswith(f"AlgorithmError: s3://{BUCKET}/faults/fails.csv: Bad HTTP status")
    assert described["FailureReason"].endswith("(and 1 more: byoc emulator logs TransformJobs)")
    log = transforming.emulator.logs("TransformJobs/faults/algo-1")
    assert log.count('"status":400') + log.count("status=400") == 1
    # A connection that breaks is tried once more, whatever it was for.
    assert log.count("POST /invocations") >= 3 + 3 + 1 + 1
    with pytest.raises(WaiterError, match="Failed"):
        transforming.emulator.sagemaker.get_waiter("transform_job_completed_or_stopped").wait(TransformJobName="faults")


@pytest.mark.parametrize(("megabytes", "status"), [(1, "Failed"), (0, "Completed"), (2, "Completed")])
def test_a_body_has_a_limit_and_zero_is_none(transforming, megabytes, status):
    name, word = f"large-{megabytes}", "x" * 1_200_000
    transforming.emulator.put("large.csv", f"{word}\n")
    described = transforming.run(name, "large.csv", MaxPayloadInMB=megabytes, TransformInput={"SplitType": "None"})
    assert described["TransformJobStatus"] == status, described
    assert transforming.outputs(name) == ({"large.csv.out": f"{word.upper()}\n"} if status == "Completed" else {})
    if status == "Failed":
        assert f"ClientError: s3://{BUCKET}/large.csv: record 1 has 1,200,001 bytes" in described["FailureReason"]


def test_a_job_that_is_stopped_leaves_nothing(transforming):
    transforming.emulator.put("slow/a.csv", "good\n")
    transforming.emulator.put("slow/b.csv", "sleep 20\n")
    transforming.start("stopped", "slow/", MaxConcurrentTransforms=1)
    wait_until(lambda: "POST /invocations" in transforming.emulator.written("TransformJobs/stopped"), 60)
    transforming.emulator.sagemaker.stop_transform_job(TransformJobName="stopped")
    assert transforming.describe("stopped")["TransformJobStatus"] in ("Stopping", "Stopped")
    described = transforming.ended("stopped")
    assert described["TransformJobStatus"] == "Stopped"
    assert "FailureReason" not in described
    assert transforming.outputs("stopped") == {}
    with pytest.raises(ClientError, match="is in status Stopped"):
        transforming.emulator.sagemaker.stop_transform_job(TransformJobName="stopped")


def test_a_container_that_does_not_come_up_is_the_reason(transforming):
    transforming.emulator.put("few/a.csv", "a\n")
    described = transforming.run("broken", "few/", "broken")
    assert described["TransformJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("AlgorithmError: ")
    assert "health check" in described["FailureReason"]


def test_a_job_without_objects_says_so(transforming):
    described = transforming.run("nothing", "nothing-there/")
    assert described["TransformJobStatus"] == "Failed"
    assert f"there is no object at s3://{BUCKET}/nothing-there/" in described["FailureReason"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"ModelName": "unknown"}, "Could not find model"),
        ({"DataProcessing": {"OutputFilter": "$['account_id']"}}, 'Unexpected "_" in JsonPath'),
        (
            {"DataProcessing": {"JoinSource": "Input"}, "TransformOutput": {"AssembleWith": "None"}},
            "AssembleWith to be as SplitType",
        ),
        ({"MaxPayloadInMB": 60, "MaxConcurrentTransforms": 2}, "must not exceed 100 MB"),
        (
            {"DataCaptureConfig": {"DestinationS3Uri": "s3://a/b"}},
            "DataCaptureConfig of CreateTransformJob is not emulated here",
        ),
        (
            {
                "TransformInput": {
                    "DataSource": {"S3DataSource": {"S3DataType": "AugmentedManifestFile", "S3Uri": "s3://a/b"}}
                }
            },
            "not emulated here",
        ),
        ({"TransformOutput": {"S3OutputPath": "https://a/b"}}, "no S3 URI"),
    ],
)
def test_what_cannot_be_is_refused_at_once(transforming, more, message):
    with pytest.raises(ClientError, match=message) as refused:
        transforming.emulator.sagemaker.create_transform_job(**transforming.request("refused", "few/", **more))
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_jobs_are_listed_and_names_are_taken(transforming):
    transforming.emulator.put("few/a.csv", "a\n")
    tags = [{"Key": "team", "Value": "flowers"}]
    transforming.run("listed-1", "few/", Tags=tags)
    transforming.run("listed-2", "few/")
    sagemaker = transforming.emulator.sagemaker
    listed = sagemaker.list_transform_jobs(NameContains="listed", SortBy="Name", SortOrder="Ascending")
    assert [each["TransformJobName"] for each in listed["TransformJobSummaries"]] == ["listed-1", "listed-2"]
    assert sagemaker.list_tags(ResourceArn=transforming.describe("listed-1")["TransformJobArn"])["Tags"] == tags
    with pytest.raises(ClientError, match="must be unique") as refused:
        transforming.start("listed-1", "few/")
    assert refused.value.response["Error"]["Code"] == "ResourceInUse"
