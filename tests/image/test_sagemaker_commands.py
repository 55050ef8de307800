"""`byoc sagemaker`, command by command, on the emulator with real containers: from a CSV file to an endpoint and back."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from byoc_cli.docker.archive import unpack
from tests.emulator import emulating
from tests.sagemaker import IRIS, ROWS, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

from tests.emulator import Running

pytestmark = pytest.mark.docker

JOB, ENDPOINT = "iris-1", "iris"
SPECIES = {"setosa", "versicolor", "virginica"}


@pytest.fixture(scope="module")
def running(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with emulating(tmp_path_factory.mktemp("sagemaker")) as running:
        yield running


@pytest.fixture(scope="module")
def shell(running: Running) -> Shell:
    return Shell(running)


@pytest.fixture(scope="module")
def job(shell: Shell, image: str) -> str:
    """A job that has trained on the folder of local_test."""
    words = ["-i", image, "--data", str(IRIS), "-hp", "max_iter=20", "--name", JOB]
    done = shell.run("train", *words)
    assert done.returncode == 0, done.stderr
    lines = [line.strip() for line in done.stderr.splitlines()]
    assert "validation:accuracy=0.933333;" in lines  # the program's own log
    assert "validation:accuracy = 0.933333" in lines  # what SageMaker made of it, by the image's own definitions
    assert "Training: " in done.stderr
    assert f"byoc sagemaker create-endpoint --training-job {JOB}" in done.stdout
    return JOB


@pytest.fixture(scope="module")
def model(running: Running, job: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model.tar.gz that training left, on this machine."""
    uri = running.describe(job)["ModelArtifacts"]["S3ModelArtifacts"]
    file = tmp_path_factory.mktemp("model") / "model.tar.gz"
    file.write_bytes(running.get(uri))
    return file


@pytest.fixture(scope="module")
def endpoint(shell: Shell, job: str) -> str:
    told = shell.good("create-endpoint", "--training-job", job, "--endpoint-name", ENDPOINT)
    assert f"{ENDPOINT} is in service; it costs nothing" in told
    return ENDPOINT


def config_of(running: Running, name: str = ENDPOINT) -> str:
    return str(running.sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"])


def models(running: Running) -> set[str]:
    return {each["ModelName"] for each in running.sagemaker.list_models()["Models"]}


def test_an_answer_is_shown_and_many_are_timed(shell: Shell, endpoint: str):
    done = shell.run("test-endpoint", endpoint, "-mm", "text/csv", "-b", f"@{ROWS}")
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == SPECIES
    assert " ms: " in done.stderr
    figures = shell.json("test-endpoint", "-e", endpoint, "-mm", "text/csv", "-b", f"@{ROWS}", "-n", "20", "-c", "2")
    assert (figures["Requests"], figures["Errors"], figures["Concurrency"]) == (20, 0, 2)
    assert 0 < figures["P50Ms"] <= figures["P90Ms"] <= figures["P99Ms"] <= figures["MaxMs"]


def test_json_is_sent_as_it_is_and_shown_on_several_lines(shell: Shell, endpoint: str):
    told = shell.good("test-endpoint", endpoint, "-b", '{"instances": [[5.1, 3.5, 1.4, 0.2]]}')
    assert '\n      "predicted_label": "setosa"' in told


def test_a_streamed_answer_comes_in_pieces(shell: Shell, endpoint: str):
    done = shell.run("test-endpoint", endpoint, "-mm", "text/csv", "-b", f"@{ROWS}", "--stream")
    assert done.returncode == 0, done.stderr
    assert done.stdout == shell.good("test-endpoint", endpoint, "-mm", "text/csv", "-b", f"@{ROWS}")
    assert done.stderr.startswith("first piece after ")
    error = shell.bad("test-endpoint", endpoint, "-mm", "text/csv", "-b", "1,2", "--stream")
    assert "the model answered 400: bad_request" in error


def test_what_the_model_says_is_wrong_is_shown(shell: Shell, endpoint: str):
    error = shell.bad("test-endpoint", endpoint, "-mm", "text/csv", "-b", "1,2")
    assert error.startswith("Error: the model answered 400: bad_request: row 1: has 2 values, not the 4 expected")
    many = shell.bad("test-endpoint", endpoint, "-mm", "text/csv", "-b", "1,2", "-n", "3")
    assert "the model answered 400" in many


def test_the_name_of_an_endpoint_is_taken_only_once(running: Running, shell: Shell, endpoint: str):
    before = models(running)
    error = shell.bad("create-endpoint", "--training-job", JOB, "-e", endpoint)
    assert f"there is an endpoint {endpoint} already; byoc sagemaker update-endpoint changes it" in error
    assert models(running) == before


def test_an_update_serves_all_the_while(running: Running, shell: Shell, endpoint: str):
    old, answers, over = config_of(running), [], threading.Event()
    client = running.client("sagemaker-runtime")

    def ask() -> None:
        while not over.is_set():
            try:
                answer = client.invoke_endpoint(EndpointName=endpoint, ContentType="text/csv", Body=b"5,3,1,0.2")
                answers.append(answer["Body"].read())
            except Exception as error:  # noqa: BLE001 - every failure is one too many
                answers.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        shell.good("update-endpoint", endpoint, "--env", "MODEL_SERVER_WORKERS=1", "--delete-old")
    finally:
        over.set()
        asking.join()
    assert len(answers) > 10
    assert not [answer for answer in answers if not isinstance(answer, bytes)]
    new = config_of(running)
    assert new != old
    container = running.sagemaker.describe_model(ModelName=new)["PrimaryContainer"]
    assert container["Environment"] == {"MODEL_SERVER_WORKERS": "1"}
    assert container["ModelDataUrl"] == running.describe(JOB)["ModelArtifacts"]["S3ModelArtifacts"]
    assert old not in models(running)


def test_an_update_that_fails_leaves_the_old_one_serving(running: Running, shell: Shell, endpoint: str, tmp_path: Path):
    old, before = config_of(running), models(running)
    (tmp_path / "model.onnx").write_text("no model")
    error = shell.bad("update-endpoint", endpoint, "--model-url", str(tmp_path))
    assert f"Error: The update of {endpoint} failed: " in error
    assert f"The old one still serves, by its config {old}" in error
    assert "The last lines of its log:" in error
    assert "model.onnx" in error.partition("The last lines")[2]
    assert "byoc doctor IMAGE --only hosting" in error
    assert (config_of(running), models(running)) == (old, before)
    assert shell.good("test-endpoint", endpoint, "-mm", "text/csv", "-b", "5.1,3.5,1.4,0.2") == "setosa\n"


def test_autoscaling_comes_and_goes(running: Running, shell: Shell, endpoint: str):
    scaling = running.client("application-autoscaling")
    shell.good("autoscale", endpoint, "--min", "1", "--max", "4", "--target", "1000")
    resource = {"ServiceNamespace": "sagemaker", "ResourceId": f"endpoint/{endpoint}/variant/AllTraffic"}
    (policy,) = scaling.describe_scaling_policies(**resource)["ScalingPolicies"]
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    assert tracking["TargetValue"] == 1000
    metric = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    assert tracking["PredefinedMetricSpecification"] == metric
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 4)
    assert "only async endpoints" in shell.bad("autoscale", endpoint, "--min", "0", "--max", "1", "--target", "5")
    shell.good("autoscale", endpoint, "--remove")
    assert not scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert "is not scaled" in shell.bad("autoscale", endpoint, "--remove")


def test_a_transform_by_the_model_of_an_endpoint(shell: Shell, endpoint: str, tmp_path: Path):
    told = shell.json("transform", str(ROWS), "-e", endpoint, "--join-source", "Input", "--download", str(tmp_path))
    (file,) = tmp_path.iterdir()
    assert (told["TransformJobStatus"], told["Files"]) == ("Completed", [str(file)])
    assert file.name == "iris.csv.out"
    rows = ROWS.read_text().splitlines()
    joined = file.read_text().splitlines()
    assert [line.rpartition(",")[0] for line in joined] == rows
    assert {line.rpartition(",")[2] for line in joined} == SPECIES


def test_a_transform_makes_its_own_model_and_takes_it_away(running: Running, shell: Shell, image: str, model: Path):
    before = models(running)
    rows = running.put("rows/some.csv", "setosa,5.1,3.5,1.4,0.2\n")
    words = ["-i", image, "--model-url", str(model), "--input-filter", "$[1:]", "--output", "s3://a-bucket/answers"]
    shell.good("transform", rows, *words)
    assert running.get("s3://a-bucket/answers/some.csv.out") == b"setosa\n"
    assert models(running) == before


def test_a_transform_that_fails_says_why(running: Running, shell: Shell, endpoint: str):
    rows = running.put("bad/rows.csv", "1,2\n")
    error = shell.bad("transform", rows, "-e", endpoint)
    assert "Error: Transform job" in error
    assert "failed: " in error
    assert "byoc doctor IMAGE --only batch" in error


def test_status_lists_all_and_tells_of_one(shell: Shell, endpoint: str):
    table = shell.good("status")
    assert table.splitlines()[0].split() == ["kind", "name", "status", "created"]
    assert ["endpoint", endpoint, "InService"] in [line.split()[:3] for line in table.splitlines()]
    assert ["training", JOB, "Completed"] in [line.split()[:3] for line in table.splitlines()]
    detail = shell.good("status", endpoint)
    assert "kind     real-time" in detail
    assert '"EndpointName": "iris"' in detail
    assert shell.json("status", JOB)["TrainingJobStatus"] == "Completed"
    assert "there is no endpoint, training, transform, model named nobody" in shell.bad("status", "nobody")


def test_serverless_from_a_folder_until_it_is_deleted(
    running: Running, shell: Shell, image: str, model: Path, tmp_path: Path
):
    unpack(model, tmp_path)
    words = ["-i", image, "--model-url", str(tmp_path), "--serverless", "--memory", "3072", "-e", "small"]
    shell.good("create-endpoint", *words)
    config = running.sagemaker.describe_endpoint_config(EndpointConfigName=config_of(running, "small"))
    size = config["ProductionVariants"][0]["ServerlessConfig"]
    assert size == {"MemorySizeInMB": 3072, "MaxConcurrency": 5}
    assert shell.good("test-endpoint", "small", "-mm", "text/csv", "-b", "5.1,3.5,1.4,0.2") == "setosa\n"
    assert "scales by itself" in shell.bad("autoscale", "small", "--max", "2", "--target", "5")
    made = config["EndpointConfigName"]
    asked = shell.run("delete-endpoint", "small", "--all", stdin="n\n")
    assert asked.returncode == 1
    assert f"This deletes endpoint small, config {made}, model {made}" in asked.stderr
    assert "While it runs, it costs nothing" in asked.stderr
    assert "endpoint small" not in shell.good("delete-endpoint", "small", "--dry-run")
    assert shell.json("status", "small")["EndpointStatus"] == "InService"
    shell.good("delete-endpoint", "small", "--all", "-y")
    assert "there is no endpoint small" in shell.bad("delete-endpoint", "small", "-y")
    assert made not in models(running)


def test_async_by_s3(running: Running, shell: Shell, image: str, model: Path):
    place = "s3://a-bucket/later"
    words = ["-i", image, "--model-url", str(model), "--async", "--output", place, "-e", "later"]
    shell.good("create-endpoint", *words)
    assert shell.good("test-endpoint", "later", "--async", "-mm", "text/csv", "-b", f"@{ROWS}").startswith(
        "versicolor\n"
    )
    error = shell.bad("test-endpoint", "later", "--async", "-mm", "text/csv", "-b", "1,2")
    assert "the model failed: " in error
    assert "has 2 values, not the 4 expected" in error
    shell.good("autoscale", "later", "--min", "0", "--max", "2", "--target", "5")
    (policy,) = running.client("application-autoscaling").describe_scaling_policies(ServiceNamespace="sagemaker")[
        "ScalingPolicies"
    ]
    metric = policy["TargetTrackingScalingPolicyConfiguration"]["CustomizedMetricSpecification"]
    assert metric["MetricName"] == "ApproximateBacklogSizePerInstance"
    shell.good("delete-endpoint", "later", "--all", "-y")
    left = running.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker")
    assert not left["ScalableTargets"]


def test_many_models_on_one_endpoint(running: Running, shell: Shell, image: str, model: Path, tmp_path: Path):
    (tmp_path / "berlin.tar.gz").write_bytes(model.read_bytes())
    (tmp_path / "paris").mkdir()
    unpack(model, tmp_path / "paris")
    shell.good("create-endpoint", "-i", image, "--model-url", str(tmp_path), "--multi-model", "-e", "cities")
    for city in ("berlin", "paris"):
        words = ["-tm", f"{city}.tar.gz", "-mm", "text/csv", "-b", "5.1,3.5,1.4,0.2"]
        assert shell.good("test-endpoint", "cities", *words) == "setosa\n"
    assert "kind     multi-model" in shell.good("status", "cities")
    error = shell.bad("transform", str(ROWS), "-e", "cities")
    assert "has many models, and a transform job takes one" in error
    shell.good("delete-endpoint", "cities", "--all", "-y", "--no-wait")


def test_an_endpoint_that_does_not_come_up(running: Running, shell: Shell, image: str, tmp_path: Path):
    (tmp_path / "model.onnx").write_text("no model")
    error = shell.bad("create-endpoint", "-i", image, "--model-url", str(tmp_path), "-e", "broken")
    assert "Error: Endpoint broken failed: " in error
    assert "model.onnx" in error.partition("The last lines of its log:")[2]
    assert f"byoc doctor {image} --only hosting" in error
    assert "It can only be deleted now: byoc sagemaker delete-endpoint broken --all" in error
    assert "has failed and serves nothing" in shell.bad("update-endpoint", "broken", "--instance-count", "2")
    shell.good("delete-endpoint", "broken", "--all", "--yes")
