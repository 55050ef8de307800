"""`byoc sagemaker` where things go another way: failures, Ctrl-C, dry runs; on the emulator without Docker."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from tests.emulator import emulating
from tests.program import wait_until
from tests.sagemaker import IRIS, ROWS, Shell

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.emulator import Running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with emulating(tmp_path_factory.mktemp("sagemaker"), native=True) as running:
        yield running


@pytest.fixture(scope="module")
def shell(running: Running) -> Shell:
    return Shell(running)


@pytest.fixture(scope="module")
def failed(shell: Shell) -> subprocess.CompletedProcess[str]:
    """The training of the job "bad"."""
    return shell.run(
        "train", "-i", "byoc", "--data", str(IRIS), "-hp", "depth=3", "--name", "bad", "--json", "--no-logs"
    )


def test_a_job_that_fails(failed: subprocess.CompletedProcess[str]):
    done = failed
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["TrainingJobName"], told["TrainingJobStatus"]) == ("bad", "Failed")
    assert "depth=3 is not a hyperparameter" in told["FailureReason"]
    assert any("training failed" in line for line in told["Log"])
    error = done.stderr.partition("Error: ")[2]
    assert error.startswith("Training job bad failed: AlgorithmError: ConfigurationError: depth=3 is not a hyper")
    assert "depth=3" in error.partition("The last lines of its log:")[2]
    assert error.endswith("To look for the cause here: byoc doctor byoc --only training\n")


def test_ctrl_c_leaves_the_job_alone_and_says_how_to_stop_it(running: Running, shell: Shell):
    words = ["-i", "byoc", "--data", str(IRIS), "-hp", "max_iter=100000000", "--name", "long"]
    process = shell.start("train", *words)
    try:
        wait_until(lambda: "fitting" in running.logs("TrainingJobs"), 60, "fitting")
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "training job long goes on without you; to stop it: byoc sagemaker stop long" in error
    assert "Traceback" not in error
    assert running.describe("long")["TrainingJobStatus"] == "InProgress"
    assert "being stopped" in shell.good("stop", "long")
    assert running.ended("long")["TrainingJobStatus"] == "Stopped"
    assert "training job long is Stopped already" in shell.bad("stop", "long")
    assert "there is no training or transform job nobody" in shell.bad("stop", "nobody")


def test_nobody_waits_who_does_not_want_to(running: Running, shell: Shell, tmp_path: Path):
    file = tmp_path / "best.json"
    file.write_text('{"max_iter": 20, "estimator": "HistGradientBoostingClassifier"}')
    channels = ["--channel", f"training={IRIS / 'iris.csv'}", "--content-type", "text/csv"]
    words = ["-i", "byoc:1.4", *channels, "--hyperparameters", str(file), "-hp", "max_iter=10", "--name", "quick"]
    told = shell.json("train", *words, "--no-wait", "--metric", "mine=accuracy=(.*?);")
    assert told == {"TrainingJobName": "quick", "TrainingJobStatus": "InProgress"}
    job = running.ended("quick")
    assert job["TrainingJobStatus"] == "Completed"
    assert job["HyperParameters"] == {"max_iter": "10", "estimator": "HistGradientBoostingClassifier"}
    assert job["AlgorithmSpecification"]["TrainingImage"].endswith("/byoc:1.4")
    assert [each["MetricName"] for each in job["FinalMetricDataList"]] == ["mine"]
    assert job["InputDataConfig"][0]["ContentType"] == "text/csv"


@pytest.mark.parametrize(
    "words",
    [
        ["train", "-i", "byoc", "--data", str(IRIS), "--spot", "--checkpoint"],
        ["create-endpoint", "-i", "byoc", "--model-url", str(IRIS), "--async"],
        ["transform", str(ROWS), "-i", "byoc", "--model-url", str(IRIS)],
    ],
)
def test_a_dry_run_prints_calls_and_makes_none(running: Running, shell: Shell, words: list[str]):
    def there_is() -> list[object]:
        lists = [running.sagemaker.list_models()["Models"], running.sagemaker.list_endpoints()["Endpoints"]]
        lists += [running.sagemaker.list_training_jobs()["TrainingJobSummaries"], running.s3.list_buckets()["Buckets"]]
        return [*lists, running.sagemaker.list_transform_jobs()["TransformJobSummaries"], running.keys()]

    before = there_is()
    calls = shell.json(*words, "--dry-run")["calls"]
    assert there_is() == before
    wanted = {"train": "CreateTrainingJob", "create-endpoint": "CreateEndpoint", "transform": "CreateTransformJob"}
    names = [call["operation"] for call in calls]
    assert wanted[words[0]] in names
    assert "PutObject" in names
    # What is printed is what boto3 takes.
    service = running.sagemaker.meta.service_model
    for call in calls:
        if call["service"] == "sagemaker":
            shape = service.operation_model(call["operation"]).input_shape
            assert call["parameters"].keys() <= shape.members.keys()
            assert set(shape.required_members) <= call["parameters"].keys()
    text = shell.good(*words, "--dry-run")
    assert f"sagemaker {wanted[words[0]]}\n{{\n" in text


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["test-endpoint", "nobody", "-b", "{}"], "Endpoint nobody of account"),
        (["test-endpoint", "nobody", "-b", "{"], "the body is not JSON"),
        (["test-endpoint", "-b", "{}"], "name one endpoint"),
        (["update-endpoint", "nobody", "--instance-count", "2"], "there is no endpoint nobody in eu-west-1"),
        (["update-endpoint", "nobody"], "nothing is to change"),
        (["autoscale", "nobody", "--remove"], "there is no endpoint nobody"),
        (["create-endpoint", "--training-job", "bad"], "is Failed and has left no model"),
        (["create-endpoint", "--training-job", "nobody"], "DescribeTrainingJob: Requested resource not found"),
        (["create-endpoint", "-i", "byoc", "--model-url", "nowhere"], "nowhere is neither a file or folder here nor"),
        (["create-endpoint", "-i", "byoc", "--model-url", str(ROWS)], "is no gzip-compressed tar"),
        (["train", "-i", "byoc", "--data", str(IRIS), "--instance-type", "ml.huge"], "enum value set: […]"),
        (["train", "-i", "byoc", "--data", str(IRIS), "--bucket", "not-there"], "there is no bucket not-there"),
        (["transform", str(ROWS), "--model-name", "nobody"], "Could not find model"),
    ],
)
@pytest.mark.usefixtures("failed")
def test_mistakes_are_told_in_a_line(running: Running, shell: Shell, words: list[str], problem: str):
    models = running.sagemaker.list_models()["Models"]
    error = shell.bad(*words)
    assert problem in error.splitlines()[-1]
    assert running.sagemaker.list_models()["Models"] == models


@pytest.mark.usefixtures("failed")
def test_logs_are_read_as_cloudwatch_has_them(running: Running):
    logs, group = running.client("logs"), "/aws/sagemaker/TrainingJobs"
    (stream,) = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="bad/")["logStreams"]
    assert stream["logStreamName"].startswith("bad/algo-1-")
    where = {"logGroupName": group, "logStreamName": stream["logStreamName"], "startFromHead": True}
    first = logs.get_log_events(**where, limit=1)
    rest = logs.get_log_events(**where, nextToken=first["nextForwardToken"])
    assert len(first["events"]) == 1
    lines = [event["message"] for event in [*first["events"], *rest["events"]]]
    file = running.state / "logs/TrainingJobs" / f"{stream['logStreamName']}.log"
    assert lines == [line for line in file.read_text().splitlines() if line]
    end = logs.get_log_events(**where, nextToken=rest["nextForwardToken"])
    assert (end["events"], end["nextForwardToken"]) == ([], rest["nextForwardToken"])
    found = logs.filter_log_events(logGroupName=group, filterPattern='"training failed"')["events"]
    assert [event["logStreamName"] for event in found] == [stream["logStreamName"]]
    assert group in [each["logGroupName"] for each in logs.describe_log_groups()["logGroups"]]
    for missing in (
        {"logGroupName": "/aws/sagemaker/Nothing"},
        {"logGroupName": "/aws/sagemaker/../logs/TrainingJobs"},
    ):
        with pytest.raises(logs.exceptions.ResourceNotFoundException):
            logs.describe_log_streams(**missing)
