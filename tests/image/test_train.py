"""`docker run IMAGE train`, with an /opt/ml as SageMaker or the SDKs' local mode lays it out."""

from __future__ import annotations

import json
import stat
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests import datasets, engine, program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.docker

MODEL_FILES = ["metrics.json", "model.onnx", "model.skops", "schema.json"]
MINIMAL_RESOURCES = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"}
LOCAL_MODE_RESOURCES = {
    "current_host": "algo-1-x7k2p",
    "hosts": ["algo-1-x7k2p"],
    "network_interface_name": "eth0",
    "current_instance_type": "local",
}
# Trees without end: the job that is stopped in mid fit. One kind keeps its best model, the other has none to keep.
ENDLESS_BY_STEPS = {"estimator": "RandomForestClassifier", "n_estimators": "10000000"}
ENDLESS_AS_A_WHOLE = {
    "estimator": "MLPClassifier",
    "max_iter": "100000000",
    "tol": "0",
    "n_iter_no_change": "100000000",
}


def train(image: str, ml: Path, *options: str, command: tuple[str, ...] = ("train",)) -> engine.Finished:
    return engine.run(image, *command, options=["-v", f"{ml}:/opt/ml", *options])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def succeeded(result: engine.Finished, ml: Path) -> dict[str, Any]:
    """Check that the job ended well; return its schema."""
    assert result.returncode == 0, result.stdout + result.stderr
    assert names(ml / "model") == MODEL_FILES
    assert not (ml / "output/failure").exists()
    schema: dict[str, Any] = json.loads((ml / "model/schema.json").read_bytes())
    return schema


def failed(result: engine.Finished, ml: Path) -> str:
    """Check that the job failed as a job should (28, 29, 34); return the text of the failure file."""
    assert result.returncode not in (0, 137), result.stdout + result.stderr
    assert not any((ml / "model").iterdir())
    text = (ml / "output/failure").read_text(encoding="utf-8")
    assert 0 < len(text) <= 1024
    return text


@pytest.mark.parametrize(
    ("hyperparameters", "leaves"), [({}, "31"), ({"max_leaf_nodes": "5"}, "5")], ids=["default", "max_leaf_nodes"]
)
def test_trains_on_the_aws_samples_data(image: str, ml: Path, hyperparameters: dict[str, str], leaves: str) -> None:
    """Checks 1, 3, 4, 5 and 21."""
    program.write_job(ml, hyperparameters)
    result = train(image, ml)
    schema = succeeded(result, ml)
    assert schema["created"]["hyperparameters"]["max_leaf_nodes"] == leaves
    assert schema["classes"] == ["setosa", "versicolor", "virginica"]
    assert all(stat.S_ISREG(path.lstat().st_mode) for path in (ml / "model").iterdir())
    accuracy = [line for line in result.stdout.splitlines() if line.startswith("validation:accuracy=")][-1]
    assert float(accuracy.partition("=")[2].rstrip(";")) > 0.9
    assert (ml / "output/data/report.html").stat().st_size > 1000


@pytest.mark.parametrize(
    ("options", "command"),
    [
        ((), ()),
        (("--entrypoint", "python3"), ("train",)),
        (("--entrypoint", "python3"), ("train", "train")),
        (("--entrypoint", "/bin/bash"), ("-c", "train")),
    ],
    ids=["no word", "python3 train", "an entry point and the word", "bash"],
)
def test_trains_however_it_is_called(image: str, ml: Path, options: tuple[str, ...], command: tuple[str, ...]) -> None:
    """Check 35: the SDK's local mode starts the image without a word, others with an entry point of their own."""
    succeeded(train(image, ml, *options, command=command), ml)


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"TrainingInputMode": "File"},
        {"TrainingInputMode": "FastFile", "ContentType": "text/csv;label_size=0"},
        {
            "TrainingInputMode": "File",
            "ContentType": "TEXT/CSV; charset=utf-8",
            "S3DistributionType": "FullyReplicated",
        },
    ],
    ids=["empty", "no content type", "fast file", "upper case"],
)
def test_reads_a_read_only_channel(image: str, ml: Path, entry: dict[str, str]) -> None:
    """Checks 9, 10 and 11."""
    program.write_job(ml, inputdataconfig={"training": entry})
    succeeded(train(image, ml, "-v", f"{ml}/input/data/training:/opt/ml/input/data/training:ro"), ml)


def test_reads_all_shards_and_nothing_else(image: str, ml: Path) -> None:
    """Checks 12, 13 and 14."""
    data = ml / "input/data"
    lines = (data / "training/iris.csv").read_text().splitlines(keepends=True)
    files = {
        "training/iris.csv": "".join(lines[:75]),
        "training/2026/11/part-1.csv": "".join(lines[75:]),
        "training/empty.csv": "",
        "training/_SUCCESS": "",
        "training/.ipynb_checkpoints/iris.csv": "not,data\n",
        "training-manifest": '[{"prefix": "s3://bucket/"}]',
        "validation/iris.csv": "".join(lines[::3]),
    }
    for name, text in files.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(text)
    succeeded(train(image, ml), ml)
    metrics = json.loads((ml / "model/metrics.json").read_bytes())
    assert metrics["rows"] == {"training": 150, "validation": 50}


@pytest.mark.parametrize(
    "resources", [MINIMAL_RESOURCES, program.FULL_RESOURCES, None], ids=["minimal", "full, topology null", "none"]
)
def test_resources(image: str, ml: Path, resources: dict[str, Any] | None) -> None:
    """Checks 16 and 19."""
    if resources is not None:
        program.write_job(ml, resourceconfig=resources)
    succeeded(train(image, ml), ml)


def test_the_sdks_local_mode(image: str, ml: Path) -> None:
    """Check 25: a random host name, a terminal, and no TRAINING_JOB_ARN."""
    (ml / "input/data/training").rename(ml / "input/data/train")
    channels = {"train": {"TrainingInputMode": "File"}}
    program.write_job(ml, resourceconfig=LOCAL_MODE_RESOURCES, inputdataconfig=channels)
    result = train(image, ml, "--tty", "-e", "TRAINING_JOB_NAME=byoc", "-e", "AWS_REGION=us-east-1")
    succeeded(result, ml)
    assert "training on algo-1-x7k2p" in result.stdout
    assert '{"time"' not in result.stdout  # a person reads plain lines


def test_writes_only_where_it_may_and_needs_no_network(image: str, ml: Path) -> None:
    """Checks 24, 61 and 104."""
    (ml / "checkpoints").mkdir()
    options = ["--read-only", "--network", "none", "--tmpfs", "/tmp", "-v", f"{ml}/input:/opt/ml/input:ro"]
    for folder in ("model", "output", "checkpoints"):
        options += ["-v", f"{ml}/{folder}:/opt/ml/{folder}"]
    succeeded(engine.run(image, "train", options=options), ml)


def test_config_folder_without_its_x_bit(image: str, ml: Path) -> None:
    """Check 105: so it is in real jobs; root with Docker's default capabilities may enter it all the same."""
    config = ml / "input/config"
    config.chmod(0o644)
    try:
        succeeded(train(image, ml, "--security-opt", "no-new-privileges"), ml)
    finally:
        config.chmod(0o755)


def remove_channel(ml: Path) -> None:
    (ml / "input/data/training").rename(ml / "input/data/other")


def empty_channel(ml: Path) -> None:
    (ml / "input/data/training/iris.csv").unlink()


def break_config(ml: Path) -> None:
    (ml / "input/config/hyperparameters.json").write_text("{")


def break_data(ml: Path) -> None:
    (ml / "input/data/training/iris.csv").write_text("setosa,1,2\nsetosa,1,2,3\n")


def misname_hyperparameter(ml: Path) -> None:
    program.write_job(ml, {"max_leaf_nodez": "5"})


@pytest.mark.parametrize(
    ("mistake", "options", "told"),
    [
        (remove_channel, (), ["DataError", "channel 'training' is missing"]),
        (empty_channel, (), ["DataError", "channel 'training' is empty"]),
        (break_config, (), ["ConfigurationError", "hyperparameters.json"]),
        (break_data, (), ["DataError", "iris.csv"]),
        (misname_hyperparameter, (), ["max_leaf_nodez", "max_leaf_nodes"]),
        (None, ("-v", "{ml}/model:/opt/ml/model:ro"), ["ModelError", "/opt/ml/model", "Read-only"]),
        (None, ("--tmpfs", "/opt/ml/model:size=64k"), ["No space left"]),
        (None, ("-v", "{ml}/output/data:/opt/ml/output/data:ro"), ["Read-only"]),
    ],
    ids=[
        "no channel",
        "empty channel",
        "config",
        "data",
        "hyperparameter",
        "model read-only",
        "disk full",
        "report read-only",
    ],
)
def test_failures(
    image: str, ml: Path, mistake: Callable[[Path], None] | None, options: tuple[str, ...], told: list[str]
) -> None:
    """Checks 8, 28, 29, 30, 32 and 34: the cause stands in the failure file, and no half of a model is left."""
    if mistake:
        mistake(ml)
    text = failed(train(image, ml, *(option.format(ml=ml) for option in options)), ml)
    assert all(word in text for word in told), text


@pytest.mark.parametrize(
    ("hyperparameters", "begun", "code"),
    [
        (ENDLESS_BY_STEPS, "fitted 10 of", 0),
        (ENDLESS_AS_A_WHOLE, "fitting MLPClassifier", 143),
        (ENDLESS_BY_STEPS, "training on", 143),
    ],
    ids=["keeps its best model", "has none to keep", "in its first second"],
)
def test_stops(image: str, ml: Path, hyperparameters: dict[str, str], begun: str, code: int) -> None:
    """Checks 36, 37 and 38: `docker stop -t 120` ends the job long before the SIGKILL."""
    program.write_job(ml, hyperparameters)
    data = ml / "input/data/training/iris.csv"
    # So many rows that the first second takes longer.
    data.write_text(data.read_text() * (4000 if begun == "training on" else 1))
    with engine.running(image, "train", options=["-v", f"{ml}:/opt/ml"]) as container:
        container.wait_for_log(begun)
        began = time.monotonic()
        assert container.stop(120) == code, container.log()
        assert time.monotonic() - began < 60
    # Compiling is left out where time is short.
    assert set(names(ml / "model")) | {"model.onnx"} == {*(MODEL_FILES if code == 0 else []), "model.onnx"}
    assert not (ml / "output/failure").exists()
    if code == 0:
        iris, rows = datasets.iris(), slice(0, 150, 10)
        with engine.serving(image, ml / "model") as server:
            answer = server.post("\n".join(",".join(row) for row in iris.features(rows)))
        assert answer.text.split() == iris.labels(rows)


def test_a_second_signal_ends_a_job_that_takes_its_time(image: str, ml: Path) -> None:
    """Check 37."""
    program.write_job(ml, ENDLESS_BY_STEPS)
    with engine.running(image, "train", options=["-v", f"{ml}:/opt/ml"]) as container:
        container.wait_for_log("fitted 10 of")
        engine.docker("kill", "-s", "TERM", container.name)
        engine.docker("kill", "-s", "TERM", container.name, check=False)
        assert container.wait(30) in (0, 143), container.log()


def test_respects_its_share_of_the_machine(image: str, ml: Path) -> None:
    result = train(image, ml, "--cpus", "1", "-m", "1g")
    succeeded(result, ml)
    assert "training on algo-1 with 1 CPUs" in result.stderr


def test_out_of_memory(image: str, ml: Path) -> None:
    """Check 30: Python's MemoryError is a failure with its file; where the kernel kills first, the code is 137."""
    with engine.running(
        image, "train", options=["-v", f"{ml}:/opt/ml", "-m", "64m", "--memory-swap", "64m"]
    ) as container:
        code = container.wait(150)
        if code == 137:
            program.wait_until(lambda: container.state()["OOMKilled"], 10, "the engine's word of it")
    assert not set(MODEL_FILES) & set(names(ml / "model"))
    if code != 137:
        assert code != 0
        assert "MemoryError" in (ml / "output/failure").read_text()
