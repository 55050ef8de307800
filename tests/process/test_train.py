"""Training jobs from their data to exit code, model and failure file; with the numbers of CONTRACT's checks."""

from __future__ import annotations

import gzip
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from byoc import recordio
from byoc.flavors import sklearn as flavor
from tests import datasets
from tests.aialgs import recordio_of
from tests.program import FULL_RESOURCES, PROGRAM, environ, train, wait_until, write_job

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.conftest import Trained

TREE = {"estimator": "DecisionTreeClassifier"}
CANARY = "canary4711"


def model_files(base: Path) -> list[str]:
    """Return what lies below the model folder, hidden files too."""
    return sorted(str(path.relative_to(base / "model")) for path in (base / "model").rglob("*"))


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("iris", {"accuracy": 0.9}),
        ("digits", {"accuracy": 0.9}),
        ("penguins", {"accuracy": 0.95}),
        ("diabetes", {"r2": 0.2}),
    ],
)
def test_trains_on_real_data(name: str, least: dict[str, float], trained_on: Callable[[str], Trained]) -> None:
    """Checks 1, 3, 4, 14, 19-22: model, report, and each metric line as the MetricDefinitions match it."""
    job = trained_on(name)
    assert job.result.returncode == 0, job.result.stderr
    assert model_files(job.base) == ["metrics.json", "model.onnx", "model.skops", "schema.json"]
    assert not any(path.is_symlink() for path in (job.base / "model").iterdir())
    assert [path.name for path in (job.base / "output").rglob("*")] == ["data", "report.html"]
    assert "http" not in re.sub(r"http://www\.w3\.org/\S+", "", (job.base / "output/data/report.html").read_text())
    facts = json.loads((job.base / "model/metrics.json").read_text())
    assert facts["serving"] == {"engine": "onnx"}
    metrics = facts["metrics"]
    for metric, value in least.items():
        assert metrics[metric] > value
    definitions = subprocess.run(
        [sys.executable, PROGRAM / "train", "--metric-definitions"], capture_output=True, text=True, check=True
    ).stdout
    found = {}
    for line in job.result.stdout.splitlines():
        (match,) = [(each["Name"], m[1]) for each in json.loads(definitions) if (m := re.search(each["Regex"], line))]
        found[match[0]] = float(match[1])
    assert found == pytest.approx({f"validation:{metric}": value for metric, value in metrics.items()}, rel=1e-5)


@pytest.mark.parametrize("value", ["5", '"5"', "5.0", '"\\"5\\""'])
def test_dialects_and_configs(value: str, base: Path) -> None:
    """Checks 5-7, 9-12, 16, 25: one effective value, the platform's own names and files passed over."""
    hyperparameters = {**TREE, "max_leaf_nodes": value, "sagemaker_program": '"x.py"', "_tuning_objective_metric": "x"}
    resources = {"current_host": "algo-1-x7f2q", "hosts": ["algo-1-x7f2q"], "network_interface_name": "eth0"}
    channels = {"train": {"TrainingInputMode": "FastFile", "ContentType": "TEXT/CSV; charset=utf-8; label_size=0"}}
    write_job(base, hyperparameters, resourceconfig={**resources, "topology": None}, inputdataconfig=channels)
    datasets.iris().write(base / "input/data/train/iris.csv")
    (base / "input/data/train-manifest").write_text('[{"prefix": "s3://bucket/"}]')
    result = train(base)
    assert result.returncode == 0, result.stderr
    assert json.loads((base / "model/schema.json").read_text())["created"]["hyperparameters"]["max_leaf_nodes"] == "5"
    model = flavor.load(base / "model")
    assert getattr(model, "steps", [("", model)])[-1][1].get_n_leaves() == 5


def test_twice_the_same(base: Path, trained_on: Callable[[str], Trained]) -> None:
    """Checks 13, 27: shards, compressed and nested among junk, are the same table as one file; so is the model's answer."""
    job = trained_on("penguins")
    hyperparameters = json.loads((job.base / "input/config/hyperparameters.json").read_text())
    write_job(base, hyperparameters)
    folder = base / "input/data/training"
    header, rows = job.dataset.header, job.dataset.rows
    for number, start in enumerate(range(0, len(rows), 100)):
        datasets.Dataset(header, rows[start : start + 100], "species").write(folder / f"year={number}/part.csv")
    for file in list(folder.rglob("*.csv"))[:2]:
        (file.parent / "part.csv.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    junk = ["_SUCCESS", ".ipynb_checkpoints/part-checkpoint.csv", "empty.csv", "training.manifest", "notes.txt"]
    for name in junk:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("" if name == "empty.csv" else "junk")
    result = train(base)
    assert result.returncode == 0, result.stderr
    assert (base / "model/metrics.json").read_bytes() == (job.base / "model/metrics.json").read_bytes()
    numbers = np.random.default_rng(0).uniform(0, 5, (500, 7))
    answers = [flavor.load(each / "model").predict_proba(numbers).tobytes() for each in (base, job.base)]
    assert answers[0] == answers[1]


def test_validation_channel_and_regression(base: Path) -> None:
    """Check 14: the channel's rows are judged, and all of the training channel's are fitted."""
    write_job(base, {"estimator": "RandomForestRegressor", "n_estimators": "20", "target": "progression"})
    whole = datasets.diabetes()
    datasets.Dataset(whole.header, whole.rows[:342], whole.target).write(base / "input/data/training/part.csv")
    datasets.Dataset(whole.header, whole.rows[342:], whole.target).write(base / "input/data/validation/part.csv")
    result = train(base)
    assert result.returncode == 0, result.stderr
    facts = json.loads((base / "model/metrics.json").read_text())
    assert facts["rows"] == {"training": 342, "validation": 100}
    assert facts["metrics"]["r2"] > 0.3


def test_only_the_leader_leaves_a_model(base: Path) -> None:
    """Checks 18, 20: rank by the list, not by the number; side outputs carry the host's name."""
    hosts = ["algo-1", "algo-10", "algo-2"]
    write_job(base, TREE, resourceconfig={"current_host": "algo-10", "hosts": hosts})
    datasets.iris().write(base / "input/data/training/iris.csv")
    assert train(base).returncode == 0
    assert model_files(base) == []
    assert (base / "output/data/algo-10/report.html").exists()


def break_config(base: Path) -> None:
    (base / "input/config/hyperparameters.json").write_text('{"max_depth": ')


def no_channel(base: Path) -> None:
    (base / "input/data/training/iris.csv").unlink()
    (base / "input/data/training").rmdir()


def empty_channel(base: Path) -> None:
    (base / "input/data/training/iris.csv").unlink()


def broken_gzip(base: Path) -> None:
    (base / "input/data/training/more.csv.gz").write_bytes(gzip.compress(b"setosa,1,2,3,4\n" * 1000)[:60])


def ragged(base: Path) -> None:
    with (base / "input/data/training/iris.csv").open("a") as file:
        file.write(f"setosa,{CANARY},3,4\n")


def model_folder_is_a_file(base: Path) -> None:
    (base / "model").rmdir()
    (base / "model").touch()


def nothing(_base: Path) -> None:
    """Change nothing: the hyperparameters are what is wrong."""


@pytest.mark.parametrize(
    ("spoil", "hyperparameters", "told"),
    [
        (no_channel, {}, ["DataError", "channel 'training' is missing", "channels configured: none"]),
        (empty_channel, {}, ["DataError", "channel 'training' is empty", "ShardedByS3Key"]),
        (broken_gzip, {}, ["DataError", "more.csv.gz"]),
        (ragged, {}, ["DataError", "iris.csv", "151"]),
        (break_config, {}, ["ConfigurationError", "hyperparameters.json"]),
        (model_folder_is_a_file, {}, ["ModelError", "cannot write to the model folder"]),
        (nothing, {"max_dept": "5"}, ["ConfigurationError", "max_dept=5", "max_depth"]),
        (nothing, {"max_depth": "deep", **TREE}, ["ConfigurationError", "max_depth", "'deep'"]),
        (nothing, {"estimator": "Oracle"}, ["Oracle"]),
        (nothing, {"target": "colour"}, ["colour"]),
    ],
)
def test_failures_are_told(
    base: Path, spoil: Callable[[Path], None], hyperparameters: dict[str, Any], told: list[str]
) -> None:
    """Checks 8, 28-30, 32-34: exit code 1, the cause first in at most 1,024 characters, no secret, no data, no model."""
    write_job(base, hyperparameters)
    datasets.iris().write(base / "input/data/training/iris.csv")
    spoil(base)
    result = train(base, DATABASE_PASSWORD="hunter2hunter2", PLAIN=CANARY)
    failure = (base / "output/failure").read_text(encoding="utf-8")
    assert result.returncode == 1
    for words in told:
        assert words in failure
    assert "Traceback" not in failure + result.stderr
    assert len(failure) <= 1024
    assert "hunter2" not in failure
    assert CANARY not in failure
    assert model_files(base) == []
    assert json.loads(result.stderr.splitlines()[-1])["message"] == f"training failed: {failure}"


def test_a_full_disk(base: Path) -> None:
    """Checks 30, 34: a limit on the size of files stands for it: the model cannot be written, and none is left."""
    write_job(base, {"estimator": "RandomForestClassifier", "n_estimators": "200"})
    datasets.iris().write(base / "input/data/training/iris.csv")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    result = subprocess.run(
        [sys.executable, PROGRAM / "train"], env=environ(base), capture_output=True, check=False, preexec_fn=limit
    )
    assert result.returncode == 1
    assert (base / "output/failure").read_text().startswith("ModelError: cannot write ")
    assert model_files(base) == []


def test_an_earlier_failure_is_kept(base: Path) -> None:
    """Check 31."""
    (base / "output/failure").write_text("the child's own cause")
    assert train(base).returncode == 1
    assert (base / "output/failure").read_text() == "the child's own cause"


@pytest.mark.parametrize("command", ["train", "serve"])
@pytest.mark.parametrize(("argument", "code"), [("--help", 0), ("--frobnicate", 2), ("ride", 2)])
def test_command_line(base: Path, command: str, argument: str, code: int) -> None:
    """Check 35: help explains itself; an unknown argument is 2 with the usage on stderr."""
    done = subprocess.run(
        [sys.executable, PROGRAM / command, argument], env=environ(base), capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert f"usage: {command}" in (done.stderr if code else done.stdout)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("spoil", [False, True])
def test_a_killed_job_goes_on_from_its_checkpoint(base: Path, spoil: bool) -> None:
    """Check 23: killed after a checkpoint, the job ends with the uninterrupted one's model; a damaged newest is skipped."""
    hyperparameters = {"estimator": "GradientBoostingClassifier", "n_estimators": "120", "subsample": "0.8"}
    whole = write_job(base.parent / "whole", hyperparameters)
    for each in (write_job(base, hyperparameters, checkpointconfig={"LocalPath": "/opt/ml/checkpoints"}), whole):
        datasets.digits().write(each / "input/data/training/digits.csv")
    (base / "checkpoints").mkdir()
    log = base / "train.log"
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, PROGRAM / "train"], env=environ(base), stdout=out, stderr=out)
    wait_until(lambda: list(base.glob("checkpoints/*.checkpoint")), what="a checkpoint")
    process.kill()
    assert process.wait() == -signal.SIGKILL, log.read_text()
    assert model_files(base) == [".staging"]
    (saved,) = base.glob("checkpoints/*.checkpoint")
    if spoil:
        (saved.parent / saved.name.replace("000000000010", "000000000099")).write_bytes(saved.read_bytes()[:-9])
    result = train(base)
    assert result.returncode == 0, result.stderr
    assert "going on from the checkpoint of 10 iterations" in result.stderr
    assert ("000000000099" in result.stderr) is spoil
    assert train(whole).returncode == 0
    assert (base / "model/metrics.json").read_bytes() == (whole / "model/metrics.json").read_bytes()
    features = np.random.default_rng(0).uniform(0, 16, (500, 64))
    answers = [flavor.load(each / "model").predict_proba(features).tobytes() for each in (base, whole)]
    assert answers[0] == answers[1]


def test_without_the_folder_there_are_no_checkpoints(base: Path) -> None:
    """SageMaker mounts the folder only for jobs with CheckpointConfig."""
    datasets.iris().write(base / "input/data/training/iris.csv")
    assert train(base).returncode == 0
    assert not (base / "checkpoints").exists()


def feed(pipe: Path, content: bytes, after: float) -> None:
    """Make a named pipe some seconds from now and write into it, as the platform does."""

    def write() -> None:
        time.sleep(after)
        os.mkfifo(pipe)
        pipe.write_bytes(content)

    pipe.parent.mkdir(parents=True, exist_ok=True)
    threading.Thread(target=write, daemon=True).start()


@pytest.mark.parametrize("wrapper", ["None", "RecordIO"])
def test_pipe_mode_trains_the_same_model_as_files(wrapper: str, base: Path, tmp_path: Path) -> None:
    """Checks 12, 15: the first epoch is the table, of however many objects; the pipe comes late, the next one never."""
    birds = datasets.penguins()
    header, rows = birds.header, birds.rows
    parts = [datasets.Dataset(header, rows[start : start + 200], "species") for start in (0, 200)]
    files = write_job(tmp_path / "files", {"target": "species", "max_iter": "20"})
    written = [part.write(files / f"input/data/train/part-{n}.csv").read_bytes() for n, part in enumerate(parts)]
    channels = {"train": {"TrainingInputMode": "Pipe", "ContentType": "text/csv", "RecordWrapperType": wrapper}}
    write_job(base, {"target": "species", "max_iter": "20"}, inputdataconfig=channels)
    # Without frames objects follow one another; a header may then be in the first alone.
    content = (
        b"".join(map(recordio.frame, written)) if wrapper == "RecordIO" else written[0] + written[1].partition(b"\n")[2]
    )
    feed(base / "input/data/train_0", content, after=3)
    (base / "input/data/train-manifest").write_text("[]")
    result = train(base)
    assert result.returncode == 0, result.stderr
    assert train(files).returncode == 0
    assert (base / "model/metrics.json").read_bytes() == (files / "model/metrics.json").read_bytes()


RECORDS = "application/x-recordio-protobuf"


@pytest.mark.parametrize("mode", ["File", "Pipe"])
def test_records_train_the_same_model_as_csv(mode: str, base: Path, trained_on: Callable[[str], Trained]) -> None:
    """CONTRACT 2.4: ``application/x-recordio-protobuf``; the pipe has two objects, one after the other."""
    digits = datasets.digits()
    halves = [recordio_of(datasets.Dataset(None, rows, 0)) for rows in (digits.rows[:900], digits.rows[900:])]
    channels = {"training": {"TrainingInputMode": mode, "ContentType": RECORDS}}
    hyperparameters = json.loads((trained_on("digits").base / "input/config/hyperparameters.json").read_text())
    write_job(base, hyperparameters, inputdataconfig=channels)
    if mode == "Pipe":
        feed(base / "input/data/training_0", b"".join(halves), after=0)
    else:
        for number, half in enumerate(halves):
            (base / "input/data/training").mkdir(parents=True, exist_ok=True)
            (base / f"input/data/training/part-{number}").write_bytes(half)
    result = train(base)
    assert result.returncode == 0, result.stderr
    assert (base / "model/metrics.json").read_bytes() == (trained_on("digits").base / "model/metrics.json").read_bytes()


@pytest.mark.parametrize(
    ("entry", "content", "told"),
    [
        ({"ContentType": "text/libsvm"}, b"", "sends text/libsvm through its pipe; this algorithm reads text/csv and"),
        ({"ContentType": RECORDS}, b"setosa,1,2,3,4\n", "record 1 does not begin as RecordIO does"),
        ({}, b"", "sent nothing through its pipe"),
        ({"RecordWrapperType": "RecordIO"}, b"setosa,1,2,3,4\n", "does not begin as RecordIO"),
        ({}, b"\xff\xfe\n", "cannot be read as CSV"),
    ],
)
def test_pipes_that_cannot_be_read_are_told(base: Path, entry: dict[str, str], content: bytes, told: str) -> None:
    """Checks 15, 28-30."""
    write_job(base, inputdataconfig={"training": {"TrainingInputMode": "Pipe", **entry}})
    feed(base / "input/data/training_0", content, after=0)
    result = train(base)
    assert result.returncode == 1
    assert told in (base / "output/failure").read_text(encoding="utf-8")
    assert "Traceback" not in result.stderr
    if "sends" in told:  # never opened: its writer, a thread of ours, still waits
        (base / "input/data/training_0").read_bytes()


STREAMS = """
from byoc.training import Job, run

def fit(job: Job) -> None:
    epochs = job.channel("train").epochs()
    for number in range(2):
        stream = next(epochs)
        job.metric("lines", sum(1 for _ in stream))
    (job.model_dir / "model").write_text("done")

raise SystemExit(run(fit))
"""


def test_a_fit_of_ones_own_reads_epoch_by_epoch(base: Path) -> None:
    """Check 15: both come late; a third that never comes is not waited for."""
    write_job(base, inputdataconfig={"train": {"TrainingInputMode": "Pipe"}})
    feed(base / "input/data/train_0", b"1\n2\n", after=1)
    feed(base / "input/data/train_1", b"1\n2\n3\n", after=2)
    result = subprocess.run(
        [sys.executable, "-c", STREAMS],
        env=environ(base, PYTHONPATH=str(PROGRAM)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "lines=2;\nlines=3;\n"


def test_a_stop_while_a_pipe_is_waited_for(base: Path) -> None:
    """Check 37."""
    write_job(base, inputdataconfig={"train": {"TrainingInputMode": "Pipe"}})
    (base / "input/data").mkdir()
    os.mkfifo(base / "input/data/train_0")
    log = base / "train.log"
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, PROGRAM / "train"], env=environ(base), stdout=out, stderr=out)
    wait_until(lambda: "train_0" in log.read_text(), what="the job's opening of the pipe")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 143, log.read_text()


def test_a_full_resourceconfig(base: Path) -> None:
    """Check 16: what real jobs have; its twin, the three documented keys, is in test_dialects_and_configs."""
    write_job(base, TREE, resourceconfig=FULL_RESOURCES)
    datasets.iris().write(base / "input/data/training/iris.csv")
    result = train(base)
    assert result.returncode == 0, result.stderr
