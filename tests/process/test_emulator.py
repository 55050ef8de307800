"""The emulator without Docker: its commands, its API as boto3 sees it, and training jobs run by the program itself."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import requests
from botocore.exceptions import ClientError

from tests import emulator, program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.emulator import Running

# Native: the name stands for container/program.
IMAGE = "byoc"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An emulator with the iris table in its bucket."""
    with emulator.emulating(tmp_path_factory.mktemp("emulator"), native=True) as made:
        emulator.put_iris(made)
        yield made


@pytest.fixture(scope="module")
def trained(running: Running) -> dict[str, Any]:
    """A job that has completed."""
    return running.train(
        "iris-1",
        IMAGE,
        InputDataConfig=[running.channel("training", "s3://a-bucket/iris", ContentType="text/csv", InputMode="Pipe")],
        HyperParameters={"max_iter": "10"},
        AlgorithmSpecification={"MetricDefinitions": [{"Name": "accuracy", "Regex": "validation:accuracy=([0-9.]+)"}]},
        Tags=[{"Key": "owner:team", "Value": "flowers"}],
    )


def begin(made: Running, name: str, script: str, **more: Any) -> None:
    """Begin a job that runs a script, which a channel brings."""
    uri = made.put(f"code/{name}/mine.py", script).rpartition("/")[0]
    words = {"sagemaker_program": "mine.py", "sagemaker_submit_directory": "/opt/ml/input/data/code"}
    request = made.job(name, IMAGE, InputDataConfig=[made.channel("code", uri)], HyperParameters=words, **more)
    made.sagemaker.create_training_job(**request)


def refused(call: Callable[..., Any], **parameters: Any) -> tuple[str, str]:
    """Return the code and the message of what a call is refused with."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_job_is_trained_by_the_program(running: Running, trained: dict[str, Any]) -> None:
    assert trained["TrainingJobStatus"] == "Completed", trained.get("FailureReason")
    assert {"model.onnx", "schema.json"} <= set(running.untar(trained["ModelArtifacts"]["S3ModelArtifacts"]))
    assert [each["MetricName"] for each in trained["FinalMetricDataList"]] == ["accuracy"]
    assert "150 rows" in running.logs("TrainingJobs")
    tags = running.sagemaker.list_tags(ResourceArn=trained["TrainingJobArn"])["Tags"]
    assert tags == [{"Key": "owner:team", "Value": "flowers"}]
    # Nothing of the job's is left but its records.
    program.wait_until(lambda: list((running.state / "work").iterdir()) == [], what="the removal of the job's files")


def test_jobs_are_listed_and_paged(running: Running, trained: dict[str, Any]) -> None:
    running.train("broken-1", IMAGE)
    listed = running.sagemaker.list_training_jobs(SortBy="Name", SortOrder="Ascending")["TrainingJobSummaries"]
    status = {each["TrainingJobName"]: each["TrainingJobStatus"] for each in listed}
    assert (status["broken-1"], status["iris-1"]) == ("Failed", "Completed")
    assert list(status) == sorted(status)
    completed = running.sagemaker.list_training_jobs(NameContains="iris", StatusEquals="Completed")
    assert [each["TrainingJobName"] for each in completed["TrainingJobSummaries"]] == ["iris-1"]
    pages = running.sagemaker.get_paginator("list_training_jobs").paginate(PaginationConfig={"PageSize": 1})
    assert [len(each["TrainingJobSummaries"]) for each in pages] == [1] * len(status)
    before = running.sagemaker.list_training_jobs(CreationTimeBefore=trained["CreationTime"].timestamp() - 1)
    assert before["TrainingJobSummaries"] == []


def test_a_job_without_data_fails_with_the_programs_own_words(running: Running) -> None:
    described = running.train("without", IMAGE)
    assert described["TrainingJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("AlgorithmError: ")
    assert "training" in described["FailureReason"]
    assert described["FailureReason"].endswith(", exit code: 1")


def test_names_are_unique_until_they_are_deleted(running: Running, trained: dict[str, Any]) -> None:
    code, message = refused(running.sagemaker.create_training_job, **running.job("iris-1", IMAGE))
    assert code == "ResourceInUse"
    assert message == (
        "Training job names must be unique within an AWS account and region, and a training job with this name already "
        f"exists ({trained['TrainingJobArn']})"
    )
    begin(running, "short", "import time; time.sleep(600)")
    assert refused(running.sagemaker.delete_training_job, TrainingJobName="short")[0] == "ResourceInUse"
    running.sagemaker.stop_training_job(TrainingJobName="short")
    running.ended("short")
    running.sagemaker.delete_training_job(TrainingJobName="short")
    assert refused(running.sagemaker.describe_training_job, TrainingJobName="short") == (
        "ValidationException",
        "Requested resource not found.",
    )


def test_what_has_ended_cannot_be_stopped(running: Running, trained: dict[str, Any]) -> None:
    stop = running.sagemaker.stop_training_job
    assert refused(stop, TrainingJobName="iris-1") == (
        "ValidationException",
        "The request was rejected because the training job is in status Completed.",
    )
    assert refused(stop, TrainingJobName="never") == ("ValidationException", "Requested resource not found.")


def test_a_stopped_job_has_the_model_of_so_far(running: Running) -> None:
    script = """
import os, signal, sys, time
def end(*_):
    open(os.environ["SM_MODEL_DIR"] + "/best", "w").write("so far")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("loss=0.25", flush=True)
time.sleep(600)
"""
    begin(
        running,
        "stopped",
        script,
        AlgorithmSpecification={"MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}]},
    )
    # The metric is there while the job runs.
    program.wait_until(lambda: running.describe("stopped").get("FinalMetricDataList"), 60, "a metric")
    assert running.describe("stopped")["TrainingJobStatus"] == "InProgress"
    running.sagemaker.stop_training_job(TrainingJobName="stopped")
    assert running.describe("stopped")["TrainingJobStatus"] in ("Stopping", "Stopped")
    described = running.ended("stopped")
    assert described["SecondaryStatus"] == "Stopped"
    assert running.untar(described["ModelArtifacts"]["S3ModelArtifacts"]) == {"best": b"so far"}


def test_a_spot_job_waits_no_longer_than_it_said(running: Running) -> None:
    begin(
        running,
        "waiting",
        "import time; time.sleep(600)",
        EnableManagedSpotTraining=True,
        StoppingCondition={"MaxRuntimeInSeconds": 2, "MaxWaitTimeInSeconds": 2},
    )
    described = running.ended("waiting")
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")
    assert "ModelArtifacts" not in described


def test_only_a_spot_job_that_trains_is_interrupted(running: Running, trained: dict[str, Any]) -> None:
    begin(running, "steady", "import time; time.sleep(600)")
    told = emulator.command("interrupt", "steady", state=running.state)
    assert told.returncode == 1
    assert "only a job with EnableManagedSpotTraining" in told.stderr
    running.sagemaker.stop_training_job(TrainingJobName="steady")
    running.ended("steady")
    assert "Requested resource not found." in emulator.command("interrupt", "never", state=running.state).stderr


ARN = "arn:aws:sagemaker:eu-west-1:123456789012"
CHANNEL = {
    "ChannelName": "a",
    "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://a-bucket/iris"}},
}
EFS = {
    "FileSystemId": "fs-0123456789abcdef0",
    "FileSystemAccessMode": "ro",
    "FileSystemType": "EFS",
    "DirectoryPath": "/",
}


def source(**more: Any) -> dict[str, Any]:
    return {"ChannelName": "a", "DataSource": {"S3DataSource": {**CHANNEL["DataSource"]["S3DataSource"], **more}}}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "empty prefix": (
        {"InputDataConfig": [source(S3Uri="s3://a-bucket/none/")]},
        (
            'No S3 objects found under S3 URL "s3://a-bucket/none/" given in input data source. Please ensure that the bucket '
            "exists in the selected region (eu-west-1), that objects exist under that S3 prefix, and that the role "
            f'"{emulator.ROLE}" has "s3:ListBucket" permissions on bucket "a-bucket".'
        ),
    ),
    "no bucket": ({"InputDataConfig": [source(S3Uri="s3://no-bucket/a")]}, "No S3 objects found under S3 URL"),
    "output": ({"OutputDataConfig": {"S3OutputPath": "s3://no-bucket/a"}}, "the bucket no-bucket does not exist"),
    "https": ({"OutputDataConfig": {"S3OutputPath": "https://a/b"}}, "is no S3 URI"),
    "checkpoints": ({"CheckpointConfig": {"S3Uri": "s3://no-bucket/a"}}, "CheckpointConfig: the bucket no-bucket"),
    "twice": ({"InputDataConfig": [CHANNEL, CHANNEL]}, "must be unique"),
    "efs": ({"InputDataConfig": [{"ChannelName": "a", "DataSource": {"FileSystemDataSource": EFS}}]}, "no EFS"),
    "nothing": ({"InputDataConfig": [{"ChannelName": "a", "DataSource": {}}]}, "needs an S3DataSource"),
    "gzip": ({"InputDataConfig": [{**CHANNEL, "CompressionType": "Gzip"}]}, "are for InputMode Pipe"),
    "records": ({"InputDataConfig": [{**CHANNEL, "RecordWrapperType": "RecordIO"}]}, "are for InputMode Pipe"),
    "augmented": ({"InputDataConfig": [source(S3DataType="AugmentedManifestFile")]}, "needs AttributeNames"),
    "converse": ({"InputDataConfig": [source(S3DataType="Converse")]}, "Converse is not emulated"),
    "group": ({"InputDataConfig": [source(InstanceGroupNames=["x"])]}, "no instance group x"),
    "algorithm": (
        {"AlgorithmSpecification": {"TrainingImage": None, "AlgorithmName": "xgboost"}},
        "AlgorithmSpecification.AlgorithmName is not emulated here",
    ),
    "no image": ({"AlgorithmSpecification": {"TrainingImage": None}}, "needs a TrainingImage"),
    "regex": ({"AlgorithmSpecification": {"MetricDefinitions": [{"Name": "a", "Regex": "("}]}}, "cannot be read"),
    "no value": ({"AlgorithmSpecification": {"MetricDefinitions": [{"Name": "a", "Regex": "a"}]}}, "needs a group"),
    "no machine": ({"ResourceConfig": {"InstanceType": None}}, "needs an InstanceType"),
    "no machines": ({"ResourceConfig": {"InstanceCount": 0}}, "must be 1 or more"),
    "both": (
        {
            "ResourceConfig": {
                "InstanceGroups": [{"InstanceGroupName": "a", "InstanceType": "ml.m5.large", "InstanceCount": 1}]
            }
        },
        "cannot be given together",
    ),
    "plan": (
        {"ResourceConfig": {"TrainingPlanArn": f"{ARN}:training-plan/a"}},
        "no training plans",
    ),
    "wait": ({"StoppingCondition": {"MaxWaitTimeInSeconds": 600}}, "only for jobs with EnableManagedSpotTraining"),
    "no wait": ({"EnableManagedSpotTraining": True}, "Invalid MaxWaitTimeInSeconds"),
    "type": (
        {"ResourceConfig": {"InstanceType": "ml.none.large"}},
        "at 'resourceConfig.instanceType' failed to satisfy constraint: Member must satisfy enum value set",
    ),
    "parameter": (
        {"ModelPackageConfig": {"ModelPackageGroupArn": f"{ARN}:model-package-group/a"}},
        "ModelPackageConfig of CreateTrainingJob is not emulated",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused(running: Running, name: str) -> None:
    more, expected = REFUSED[name]
    code, message = refused(running.sagemaker.create_training_job, **running.job("refused", IMAGE, **more))
    assert code == "ValidationException"
    assert expected in message
    assert refused(running.sagemaker.describe_training_job, TrainingJobName="refused")[0] == "ValidationException"


def test_what_does_nothing_here_is_taken_and_told(running: Running) -> None:
    described = running.train(
        "excused",
        IMAGE,
        VpcConfig={"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
        OutputDataConfig={"KmsKeyId": "a-key"},
    )
    assert described["VpcConfig"]["Subnets"] == ["subnet-1"]
    said = (running.state / "emulator.log").read_text()
    assert "CreateTrainingJob: VpcConfig does nothing here: there is no VPC" in said
    assert "CreateTrainingJob: OutputDataConfig.KmsKeyId does nothing here: nothing is encrypted" in said


def test_what_is_not_emulated_is_refused_by_name(running: Running) -> None:
    assert refused(running.sagemaker.list_notebook_instances) == (
        "UnknownOperationException",
        refused(running.sagemaker.list_notebook_instances)[1],
    )
    assert (
        "ListNotebookInstances is not emulated here; these are: "
        in refused(running.sagemaker.list_notebook_instances)[1]
    )
    answer = requests.post(running.address, "[1]", headers={"X-Amz-Target": "SageMaker.ListTrainingJobs"}, timeout=10)
    assert (answer.status_code, answer.json()["__type"]) == (400, "SerializationException")
    answer = requests.post(running.address, "{}", headers={"X-Amz-Target": "Emulator.Explode"}, timeout=10)
    assert (answer.status_code, answer.json()["__type"]) == (404, "UnknownOperationException")


def test_the_rest_of_aws_is_there(running: Running) -> None:
    assert running.client("sts").get_caller_identity()["Account"] == "123456789012"
    running.client("iam").create_role(RoleName="byoc", AssumeRolePolicyDocument="{}")
    assert running.client("iam").get_role(RoleName="byoc")["Role"]["Arn"] == emulator.ROLE
    running.client("ecr").create_repository(repositoryName="byoc")


def test_its_role_is_one_that_sagemaker_may_take_on(running: Running) -> None:
    """What SageMaker's own SDK looks at before it uses a role."""
    role = json.loads(emulator.command("env", "--json", state=running.state).stdout)["SAGEMAKER_ROLE"]
    iam = running.client("iam")
    found = iam.get_role(RoleName=role.rpartition("/")[2])["Role"]
    assert found["Arn"] == role
    (statement,) = found["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    asked = {"ActionNames": ["s3:PutObject", "s3:GetObject"], "ResourceArns": ["arn:aws:s3:::a/*", "arn:aws:s3:::b/*"]}
    told = iam.simulate_principal_policy(PolicySourceArn=role, **asked)["EvaluationResults"]
    assert [(each["EvalActionName"], each["EvalResourceName"], each["EvalDecision"]) for each in told] == [
        (action, resource, "allowed") for action in asked["ActionNames"] for resource in asked["ResourceArns"]
    ]
    assert refused(iam.simulate_principal_policy, PolicySourceArn=f"{role}-2", ActionNames=["s3:GetObject"]) == (
        "NoSuchEntity",
        f"Role {role}-2 not found",
    )


@pytest.mark.parametrize(
    ("service", "operation"), [("iam", "list_organizations_features"), ("ecr", "describe_pull_through_cache_rules")]
)
def test_what_moto_lacks_is_refused_in_the_services_own_words(running: Running, service: str, operation: str) -> None:
    """IAM speaks XML, ECR JSON."""
    code, message = refused(getattr(running.client(service), operation))
    assert code == "UnknownOperationException"
    assert f"{operation} action has not been implemented" in message


def test_waiters_ask_often_and_as_long_as_ever(running: Running) -> None:
    told = json.loads(emulator.command("env", "--json", state=running.state).stdout)
    code = "import boto3; w = boto3.client('sagemaker').get_waiter('training_job_completed_or_stopped').config; print(w.delay, w.max_attempts)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=emulator.environ() | told, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "21600"]


def test_env_points_tools_at_it(running: Running) -> None:
    told = json.loads(emulator.command("env", "--json", state=running.state).stdout)
    assert told["AWS_ENDPOINT_URL_SAGEMAKER"] == running.address
    line = f'eval "$({" ".join(map(quoted, [*emulator.BYOC, "env", "--state", str(running.state)]))})" && env'
    shell = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True, env=emulator.environ())
    variables = dict(each.partition("=")[::2] for each in shell.stdout.splitlines())
    assert {name: variables.get(name) for name in told} == told


def quoted(word: str) -> str:
    return f"'{word}'"


def test_logs_are_those_that_are_asked_for(running: Running, trained: dict[str, Any]) -> None:
    assert "150 rows" in running.logs("iris-1")
    assert len(emulator.command("logs", "iris-1", "-n", "1", state=running.state).stdout.splitlines()) == 1
    told = emulator.command("logs", "no-such-job", state=running.state)
    assert (told.returncode, "there are no logs of no-such-job" in told.stderr) == (1, True)


def test_a_second_one_is_refused(running: Running, tmp_path: Path) -> None:
    told = emulator.command("start", "--native", "--port", str(program.free_port()), state=running.state)
    assert told.returncode == 1
    assert f"an emulator is running already: {running.address}" in told.stderr
    told = emulator.command("start", "--native", "--background", "--port", str(running.port), state=tmp_path)
    assert told.returncode == 1
    assert f"port {running.port} is taken; choose another: --port {running.port + 1}" in told.stderr


def test_without_one_the_commands_say_so(tmp_path: Path) -> None:
    for command in ("stop", "env"):
        told = emulator.command(command, state=tmp_path)
        assert (told.returncode, "emulator" in told.stderr) == (1, True)


def test_what_was_there_is_there_again_unless_it_is_to_be_forgotten(tmp_path: Path) -> None:
    key = "a/" + "long/" * 60 + "key with spaces & more.csv"
    with emulator.emulating(tmp_path, native=True) as made:
        made.s3.put_object(Bucket=emulator.BUCKET, Key=key, Body=b"1,2", ContentType="text/csv")
        made.put("gone", b"")
        made.s3.create_bucket(Bucket="short-lived", CreateBucketConfiguration={"LocationConstraint": emulator.REGION})
        made.train("kept", IMAGE)
    with emulator.emulating(tmp_path, native=True) as made:
        answer = made.s3.get_object(Bucket=emulator.BUCKET, Key=key)
        assert (answer["Body"].read(), answer["ContentType"]) == (b"1,2", "text/csv")
        assert made.describe("kept")["TrainingJobStatus"] == "Failed"
        made.s3.delete_object(Bucket=emulator.BUCKET, Key="gone")
        made.s3.delete_bucket(Bucket="short-lived")
    with emulator.emulating(tmp_path, native=True) as made:
        assert made.keys() == [key]
        assert [each["Name"] for each in made.s3.list_buckets()["Buckets"]] == [emulator.BUCKET]
        stopped = emulator.command("stop", state=made.state)
        assert stopped.returncode == 0, stopped.stderr
        fresh = emulator.command(
            "start", "--background", "--native", "--fresh", "--port", str(made.port), state=made.state
        )
        assert fresh.returncode == 0, fresh.stderr
        assert made.s3.list_buckets()["Buckets"] == []
        assert made.sagemaker.list_training_jobs()["TrainingJobSummaries"] == []


def test_nothing_outlives_one_that_is_killed(tmp_path: Path) -> None:
    with emulator.emulating(tmp_path, native=True) as made:
        begin(made, "orphan", "import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)")
        logs = made.state / "logs"
        program.wait_until(lambda: logs.exists() and "pid " in made.logs("orphan"), 60, "the script")
        pid = int(made.logs("orphan").partition("pid ")[2].split()[0])
        os.kill(json.loads((made.state / "emulator.json").read_text())["pid"], signal.SIGKILL)
        program.wait_until(lambda: not program.is_running(pid), 30, "the script's end")
        # Though the process id in its file may be another's by now.
        told = json.loads((made.state / "emulator.json").read_text())
        (made.state / "emulator.json").write_text(json.dumps({**told, "pid": os.getpid()}))
        assert emulator.command("env", state=made.state).returncode == 1
        again = emulator.command("start", "--background", "--native", "--port", str(made.port), state=made.state)
        assert again.returncode == 0, again.stderr
        described = made.describe("orphan")
        assert described["FailureReason"] == "InternalServerError: the emulator ended while this job ran"


def test_ctrl_c_ends_it_and_its_jobs(tmp_path: Path) -> None:
    port = program.free_port()
    process = subprocess.Popen(
        [*emulator.BYOC, "start", "--native", "--state", str(tmp_path), "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=emulator.environ(),
    )
    program.wait_until(lambda: answers(port) and (tmp_path / "emulator.json").exists(), 60, "the emulator")
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert said.splitlines()[-1] == "stopping: containers are removed"
    assert not answers(port)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_page_of_another_site_may_ask_for_nothing(running: Running) -> None:
    headers = {"X-Amz-Target": "SageMaker.ListTrainingJobs", "Origin": "https://example.com"}
    refused = requests.post(running.address, data="{}", headers=headers, timeout=10)
    assert (refused.status_code, refused.json()["__type"]) == (403, "AccessDeniedException")
    own = requests.post(running.address, data="{}", headers={**headers, "Origin": running.address}, timeout=10)
    assert own.status_code == 200
