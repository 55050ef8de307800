"""The extra `torch`: what the flavor promises, and a Lightning job that is stopped, goes on, and is served."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests import datasets, engine, program

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

CHECKS = Path(__file__).with_name("torch_checks.py")
# What the weights answer without anything of ours but the class they belong to: the logits of rows, as shares.
PLAIN = """\
import json, sys
import torch
sys.path.insert(0, "/opt/program/code")
from digits import Digits
from safetensors.torch import load_file
module = Digits(64).eval()
module.load_state_dict(load_file(sys.argv[1]))
with torch.no_grad():
    shares = torch.softmax(module(torch.tensor(json.loads(sys.argv[2]))), 1)
print(json.dumps(shares.tolist()))
"""
WEIGHTS = """\
import sys
import torch
from safetensors.torch import load_file
one, other = (load_file(file) for file in sys.argv[1:])
print(one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one))
"""


def test_the_flavor(lightning: str) -> None:
    mount = f"{CHECKS}:/tmp/torch_checks.py:ro"
    done = engine.run(lightning, "python3", "/tmp/torch_checks.py", options=["-v", mount], timeout=280)
    names = [line for line in CHECKS.read_text().splitlines() if line.startswith("def check_")]
    assert [f"def {line}(" for line in done.stdout.split()] == [f"{name.partition('(')[0]}(" for name in names], (
        done.stdout + done.stderr
    )
    assert done.returncode == 0, done.stderr


def write(base: Path, epochs: int) -> Path:
    (base / "checkpoints").mkdir(parents=True, exist_ok=True)
    datasets.digits().write(base / "input/data/training/digits.csv")
    return program.write_job(base, {"epochs": str(epochs), "hidden": "64"})


def run(image: str, base: Path, command: str, *arguments: str) -> engine.Finished:
    """Run something in the image that sees the folder as /opt/ml."""
    done = engine.run(image, command, *arguments, options=["-v", f"{base}:/opt/ml"])
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_a_job_that_is_stopped_goes_on_to_the_same_weights(lightning: str, tmp_path: Path) -> None:
    """And its model answers as PyTorch itself does."""
    try:
        stopped, whole = write(tmp_path / "stopped", 500), write(tmp_path / "whole", 4)
        with engine.running(lightning, "train", options=["-v", f"{stopped}:/opt/ml"]) as container:
            container.wait_for_log("epoch 2 of 500", 180)
            assert container.stop(60) == 0, container.log()
            assert "stopping after the current step" in container.log()
            lines = container.log().splitlines()
        assert all(line.startswith(("{", "train:loss=", "validation:accuracy=")) for line in lines)
        assert (stopped / "model" / "model.safetensors").is_file()
        done = max(int(file.name.partition(".")[0]) for file in (stopped / "checkpoints").iterdir()) + 1
        for base in (stopped, whole):
            write(base, done + 2)
        went_on = run(lightning, stopped, "train")
        assert f"going on after epoch {done}" in went_on.stderr
        assert went_on.stdout.count("validation:accuracy=") == 2
        straight = run(lightning, whole, "train")
        assert straight.stdout.count("validation:accuracy=") == done + 2
        assert went_on.stdout == "".join(straight.stdout.splitlines(keepends=True)[-4:])
        files = [f"/opt/ml/{base.name}/model/model.safetensors" for base in (stopped, whole)]
        assert run(lightning, tmp_path, "python3", "-c", WEIGHTS, *files).stdout == "True\n"
        check_answers(lightning, whole)
    finally:
        engine.give_back(lightning, tmp_path)


def check_answers(image: str, base: Path) -> None:
    rows = datasets.digits().features(slice(100))
    numbers = json.dumps([[float(cell) for cell in row] for row in rows])
    file = "/opt/ml/model/model.safetensors"
    shares = np.array(json.loads(run(image, base, "python3", "-c", PLAIN, file, numbers).stdout))
    with engine.serving(image, base / "model", "-e", f"MODEL_SERVER_WORKERS={min(2, os.cpu_count() or 1)}") as server:
        answer = server.post("".join(",".join(row) + "\n" for row in rows), Accept="application/json")
        assert answer.status_code == 200, answer.text
        found = answer.json()["predictions"]
        assert [each["predicted_label"] for each in found] == shares.argmax(axis=1).tolist()
        np.testing.assert_allclose([each["score"] for each in found], shares.max(axis=1), rtol=1e-5)
        # One at a time, as a batch: in another size of batch only the last bits may differ.
        alone = [server.post(",".join(row)).text for row in rows[:20]]
        assert alone == [f"{label}\n" for label in shares.argmax(axis=1)[:20]]
        bad = server.post(",".join(rows[0][:-1]))
        assert (bad.status_code, bad.json()["error"]["code"]) == (400, "bad_request")
        assert "63 values, not the 64 expected" in bad.text
    accuracy = np.mean(shares.argmax(axis=1) == np.array(datasets.digits().labels(slice(100)), dtype=int))
    assert accuracy > 0.9


def test_data_that_is_something_else(lightning: str, tmp_path: Path) -> None:
    base = program.write_job(tmp_path)
    datasets.iris().write(base / "input/data/training/iris.csv")
    done = engine.run(lightning, "train", options=["-v", f"{base}:/opt/ml"])
    engine.give_back(lightning, base)
    assert done.returncode == 1
    assert (base / "output" / "failure").read_text().startswith("DataError: each row must be a digit and 64 pixels")
    assert "Traceback" not in done.stderr


def test_a_model_without_its_class(image: str, lightning: str, tmp_path: Path) -> None:
    """An image without the extra says how to have it; one without the code, what is missing."""
    base = write(tmp_path, 1)
    run(lightning, base, "train")
    engine.give_back(lightning, base)
    for name, options, words in (
        (image, [], "build it with --extra torch"),
        (lightning, ["-e", "BYOC_ENTRY_POINT="], "put the file that defines it beside your entry point"),
    ):
        done = engine.run(name, "serve", options=["-v", f"{base / 'model'}:/opt/ml/model:ro", *options])
        assert done.returncode != 0
        assert words in done.stderr.splitlines()[-1], done.stderr
