"""Training jobs of the emulator on three hosts, which Dask makes one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests import datasets, emulator, engine
from tests.image.test_cluster import BEGUN, KILL, LONG, SHORT, SPACE
from tests.image.test_emulator_training import containers, wait_for_log
from tests.sagemaker import Shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.emulator import Running

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def running(wide: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An emulator with the digits in its bucket, and no container left behind at its end."""
    folder = tmp_path_factory.mktemp("emulator")
    with emulator.emulating(folder) as made:
        datasets.digits().write(folder / "digits.csv")
        made.put("digits/digits.csv", (folder / "digits.csv").read_bytes())
        yield made
    assert containers(made.state) == []


def hyperparameters(candidates: int) -> dict[str, str]:
    search = {"space": SPACE, "n_iter": candidates, "cv": 3}
    return {"estimator": "DecisionTreeClassifier", "search": json.dumps(search)}


def begin(made: Running, image: str, name: str) -> None:
    """Begin a search on three hosts that does not end by itself while a test runs, and wait until it searches."""
    channel = made.channel("training", f"s3://{emulator.BUCKET}/digits", S3DataDistributionType="FullyReplicated")
    job: dict[str, Any] = {"InputDataConfig": [channel], "ResourceConfig": {"InstanceCount": 3}}
    made.sagemaker.create_training_job(**made.job(name, image, HyperParameters=hyperparameters(LONG), **job))
    wait_for_log(made, name, BEGUN, 150)


def test_the_command_trains_on_three_hosts(running: Running, wide: str, tmp_path: Path) -> None:
    """Its metrics are those that the image names, the search's best score among them; one host leaves a model."""
    datasets.digits().write(tmp_path / "digits.csv")
    (tmp_path / "search.json").write_text(json.dumps(hyperparameters(SHORT)))
    words = ["--hyperparameters", str(tmp_path / "search.json"), "--instance-count", "3", "--name", "wide"]
    done = Shell(running).run("train", "-i", wide, "--data", str(tmp_path), *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "joblib's work is spread over 3 hosts" in running.logs("wide")
    described = running.describe("wide")
    metrics = {each["MetricName"]: each["Value"] for each in described["FinalMetricDataList"]}
    assert 0.5 < metrics["search:best_score"] < 1
    archive = running.untar(described["ModelArtifacts"]["S3ModelArtifacts"])
    assert set(archive) == {"metrics.json", "model.onnx", "model.skops", "schema.json"}


def test_the_loss_of_a_host_is_the_jobs_failure(running: Running, wide: str) -> None:
    """A job ends with any of its hosts, even where the others could go on."""
    begin(running, wide, "lost")
    (host,) = (each for each in containers(running.state) if hostname(each) == "algo-3")
    engine.docker("kill", host)
    described = running.ended("lost")
    assert described["TrainingJobStatus"] == "Failed"
    assert described["FailureReason"].startswith("ClientError: Please use an instance type with more memory")
    assert described["FailureReason"].endswith("exit code: 137")


def test_the_loss_of_the_scheduler_is_the_jobs_failure(running: Running, wide: str) -> None:
    begin(running, wide, "unscheduled")
    (host,) = (each for each in containers(running.state) if hostname(each) == "algo-1")
    engine.Container(host).python(KILL, "dask_scheduler")
    described = running.ended("unscheduled")
    assert described["TrainingJobStatus"] == "Failed"
    assert "ClusterError: the Dask scheduler ended with code -9, exit code: 1" in described["FailureReason"]


def hostname(container: str) -> str:
    return engine.docker("inspect", "-f", "{{.Config.Hostname}}", container).stdout.strip()


def test_a_stop_ends_all_hosts(running: Running, wide: str) -> None:
    begin(running, wide, "stopped")
    assert len(containers(running.state)) == 3
    running.sagemaker.stop_training_job(TrainingJobName="stopped")
    described = running.ended("stopped")
    assert described["TrainingJobStatus"] == "Stopped", described.get("FailureReason")
    log = running.logs("stopped")
    assert log.count("stopped by SIGTERM before there was a model") == 3
