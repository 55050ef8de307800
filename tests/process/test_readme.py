"""What README.md shows is run: its commands, its two files, its requests and its job for SageMaker."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import boto3
import click
import pytest
import requests
from moto import mock_aws

from byoc.training.hyperparameters import user_values
from byoc_cli.main import main
from tabular.options import Options
from tests import datasets, program
from tests.clone import make_clone, start_demo
from tests.program import PROGRAM, ROOT
from tests.readme import CONTRIBUTING, README, Document, codes, pattern, shown

COMMANDS = [
    README.block("local_test/train_local.sh"),
    README.block("make image"),
    README.block("./build_and_push.sh"),
]
# The names in the blocks that a user fills in.
PLACES = {
    "role": "arn:aws:iam::123456789012:role/sagemaker",
    "image_uri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/my-model:latest",
    "data_uri": "s3://bucket/data",
    "output_uri": "s3://bucket/output",
}


@pytest.fixture(scope="module")
def server(trained: Path):
    with program.serving(trained, MODEL_SERVER_WORKERS="1") as server:
        yield server


def steady(output: str, root: Path) -> str:
    """Take out what differs from run to run: folders, times, ports and the news of a slow start."""
    output = re.sub(r"^\[ *[\d.]+ s\] (port|waiting) .*\n", "", output.replace(f"{root}/", ""), flags=re.MULTILINE)
    return re.sub(r"localhost:\d+", "localhost:PORT", re.sub(r"\[ *[\d.]+ s\]", "[time]", output))


def test_make_demo_prints_what_the_readme_shows(tmp_path):
    clone = make_clone(tmp_path / "clone")
    with start_demo(clone) as process:
        output, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    expected = pattern(steady("\n".join(shown(README.block("$ make demo"))), clone).splitlines())
    assert re.fullmatch(expected, steady(output, clone)), f"{expected}\n{output}"


def test_make_test_runs_the_linters_and_pytest():
    assert shown(README.block("$ make test"))[0] == "..."  # as long as the list of the tests
    done = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert all(f".venv/bin/{tool}" in done.stdout for tool in ("ruff check", "mypy", "pytest"))


@pytest.mark.parametrize("document", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_make_knows_every_target(document: Document):
    targets = set(re.findall(r"\bmake (\w+(?: \w+=\w+)?)", document.code))
    assert len(targets) >= 4
    for target in targets:
        command = ["make", "-n", *target.split()]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, f"make {target}: {done.stderr}"


@pytest.mark.parametrize("line", [line for block in COMMANDS for line in block.splitlines()], ids=lambda line: line)
def test_a_command_of_the_readme_is_there_and_explains_itself(line: str):
    command, _, comment = line.partition("#")
    name, *arguments = command.split()
    if name == "make":
        return
    done = subprocess.run([ROOT / name, "--help"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    usage = done.stdout.partition("\n\n")[0] + done.stdout
    assert Path(name).name in usage
    assert all(option in usage for option in re.findall(r"--[a-z-]+", comment))
    for argument in arguments:
        assert ("PAYLOAD" in usage and (ROOT / argument).is_file()) or "IMAGE" in usage


OF_BYOC = [
    *README.block("byoc docker build").splitlines(),
    *README.block("byoc sagemaker train").splitlines(),
    *[line for line in README.block("byoc emulator start").splitlines() if line.startswith("byoc")],
    *re.findall(r"^\$ (byoc .*)$", README.text, re.MULTILINE),
]


@pytest.mark.parametrize("line", OF_BYOC)
def test_a_command_of_byocs_has_the_options_that_are_shown(line: str):
    command, _, comment = line.partition("#")
    words = [word for word in shlex.split(command)[1:] if not word.startswith("-")]
    group: click.Command = main
    while isinstance(group, click.Group):
        group = group.commands[words.pop(0)]
    known = {name for option in group.params for name in (*option.opts, *option.secondary_opts)}
    assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", f"{command} {comment}")) <= known


# --- the two files


@pytest.fixture(scope="module")
def own_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program with the README's two files in it."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "train").write_text(README.block("from byoc.training import Job, run"))
    (folder / "predictor.py").write_text(README.block("from pathlib import Path"))
    return program.write_program(folder / "program", folder / "train", folder / "predictor.py")


def metric_definitions(folder: Path) -> list[dict[str, str]]:
    done = subprocess.run(
        [sys.executable, folder / "train", "--metric-definitions"],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def test_the_two_files_train_and_predict(own_program, tmp_path):
    base = program.write_job(tmp_path, {"n_neighbors": "5"})
    iris = datasets.iris()
    iris.write(base / "input/data/training/iris.csv")
    result = program.train(base, own_program)
    assert result.returncode == 0, result.stderr
    (definition,) = metric_definitions(own_program)
    accuracy = float(re.search(definition["Regex"], result.stdout)[1])
    assert definition["Name"] == "train:accuracy"
    assert [path.name for path in (base / "model").iterdir()] == ["model.skops"]

    rows, labels = iris.features(slice(None)), iris.labels(slice(None))
    with program.serving(base, own_program, MODEL_SERVER_WORKERS="1") as server:
        answer = server.post("\n".join(map(",".join, rows)))
        assert answer.status_code == 200, answer.text
        told = answer.text.split()
        assert sum(map(str.__eq__, told, labels)) / len(labels) == pytest.approx(accuracy, abs=1e-6)
        assert accuracy > 0.9
        body = json.dumps({"instances": [list(map(float, row)) for row in rows]})
        assert server.post(body, "application/json").json() == {"predictions": told}


def test_the_two_files_read_their_hyperparameter(own_program, tmp_path):
    base = program.write_job(tmp_path, {"n_neighbors": "1"})
    datasets.iris().write(base / "input/data/training/iris.csv")
    assert "train:accuracy=1" in program.train(base, own_program).stdout  # each row is its own neighbour


# --- requests


def test_the_paths_answer(server):
    answers = {
        "GET /ping": lambda: requests.get(f"{server.url}/ping", timeout=5),
        "POST /invocations": lambda: server.post("5.1,3.5,1.4,0.2"),
        **{
            f"GET {path}": lambda path=path: requests.get(f"{server.url}{path}", timeout=5)
            for path in ("/execution-parameters", "/model/id", "/model/schema", "/model/sample_request")
        },
    }
    for request, answer in README.table("request"):
        answers_to = answers.pop(codes(request)[0])
        assert answers_to().status_code == 200, answer
    assert answers == {}


def test_a_table_of_text_is_answered_by_one(server, trained):
    request, answer = re.findall(r"`(\{[^`]*fields[^`]*\[\[…\]\]\})`", README.text.replace("\n", " "))
    names = [column["name"] for column in json.loads((trained / "model/schema.json").read_text())["columns"]]
    body = request.replace("[name]", json.dumps(names)).replace("…", '"5.1", "3.5", "1.4", "0.2"')
    for media_type in ("application/json", "application/octet-stream"):
        told = server.post(body, media_type).text.strip()
        assert re.fullmatch(re.escape(answer.replace(" ", "")).replace("…", ".+"), told), told


def test_a_bad_row_is_answered_as_shown(server, tmp_path):
    clone = make_clone(tmp_path / "clone")
    command = README.block("$ printf").splitlines()[0].removeprefix("$ ")
    environ = {**os.environ, "PORT": str(server.port)}
    done = subprocess.run(
        ["bash", "-c", command], cwd=clone, env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(pattern(shown(README.block("$ printf"))), done.stderr), done.stderr


def test_the_media_types_take_and_answer_the_shapes_shown(server, trained):
    names = [column["name"] for column in json.loads((trained / "model/schema.json").read_text())["columns"]]
    row = [5.1, 3.5, 1.4, 0.2]
    named = ", ".join(f'"{name}": {value}' for name, value in zip(names, row, strict=True))
    table = {
        codes(media_type)[0]: (codes(request), codes(answer))
        for media_type, request, answer in README.table("media type")
    }

    shapes, (answer,) = table["application/json"]
    assert len(shapes) == 4
    for shape in shapes:
        body = (
            shape.replace("[…]", json.dumps(row)).replace('"name": value', named).replace("[name]", json.dumps(names))
        )
        told = server.post(body, "application/json")
        assert told.status_code == 200, f"{body}: {told.text}"
        assert re.fullmatch(re.escape(answer.replace(" ", "")).replace("…", ".+"), told.text.strip()), told.text
        records = json.loads(body)
        (record,) = records["instances"] if isinstance(records, dict) else records
        lines = server.post(f"{json.dumps(record)}\n" * 2, "application/jsonlines").text.splitlines()
        assert [json.loads(line)["predicted_label"] for line in lines] == ["setosa"] * 2, record

    by_position, by_name = ",".join(map(str, row)), ",".join(names) + "\n" + ",".join(map(str, row))
    assert [server.post(body).text for body in (by_position, by_name)] == ["setosa\n"] * 2

    assert table["text/libsvm"][0] == ["position:value", "base=1"]
    for first, content_type in ((0, "text/libsvm"), (1, "text/libsvm; base=1")):
        body = " ".join(f"{position}:{value}" for position, value in enumerate(row, first))
        assert server.post(body, content_type).text == "setosa\n"
    assert server.post(json.dumps([row]), "application/octet-stream").json()["predictions"][0]["score"]


# --- training


def test_a_job_leaves_what_the_readme_lists(trained):
    text = " ".join(re.search(r"\*\*What it leaves\*\*:(.*?)\n\n", README.text, re.DOTALL)[1].split())
    model, output = text.split("; in `/opt/ml/output/data`")
    assert {name for name in codes(model) if "." in name} == {path.name for path in (trained / "model").iterdir()}
    assert {path.name for path in (trained / "output/data").iterdir()} >= set(codes(output))


ENDS = dict(re.findall(r"(\d+) (failed|wrong arguments|stopped)", README.text))


def test_a_job_that_fails_ends_with_the_readmes_code(base):
    result = program.train(base)
    assert ENDS[str(result.returncode)] == "failed"
    assert (base / "output/failure").read_text().startswith("DataError: channel 'training' is missing")


def test_wrong_arguments_end_with_the_readmes_code():
    done = subprocess.run([sys.executable, PROGRAM / "train", "--gpu"], capture_output=True, check=False, timeout=60)
    assert ENDS[str(done.returncode)] == "wrong arguments"


def test_a_job_stopped_before_there_is_a_model_ends_with_the_readmes_code(base, tmp_path):
    # What it waits for never comes, so there is no model, however late the signal is.
    program.write_job(base, inputdataconfig={"training": {"TrainingInputMode": "Pipe"}})
    log = tmp_path / "train.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, PROGRAM / "train"], env=program.environ(base), stdout=out, stderr=out
        )
    program.wait_until(lambda: "training on algo-1" in log.read_text(), what="the job's start")
    process.send_signal(signal.SIGTERM)
    assert ENDS[str(process.wait(60))] == "stopped", log.read_text()


# --- SageMaker


@mock_aws
def test_the_job_for_sagemaker_is_one(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    # boto3 itself refuses names and types that the API does not have.
    exec(README.block("import boto3"), {**PLACES, "metric_definitions": metric_definitions(PROGRAM)})
    job = boto3.client("sagemaker").describe_training_job(TrainingJobName="my-model-1")
    assert [channel["ChannelName"] for channel in job["InputDataConfig"]] == ["training"]
    assert Options.read(user_values(job["HyperParameters"])).parameters == {"n_estimators": 200}
