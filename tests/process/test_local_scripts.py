"""The scripts of local_test/ and `byoc demo`, run from other folders with the real program, without Docker."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.clone import CLASSES, free_port, make_clone, programs_of, script, start_demo, wait_for_ping
from tests.program import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A fresh clone in a folder with a space in its name."""
    return make_clone(tmp_path / "my clone")


def own_lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What the script itself said on stderr, without the program's log."""
    return [line for line in done.stderr.splitlines() if not line.startswith("{")]


def pretend_trained(clone: Path) -> None:
    (clone / "local_test" / "test_dir" / "model" / "model.skops").write_text("no model")


def nothing_is_left(clone: Path) -> None:
    """Wait for the end of what has been killed; what has not been goes on."""
    wait_until(lambda: programs_of(clone) == [], what="the end of all programs")


@contextmanager
def serving(clone: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    environ = {**os.environ, "PORT": str(port)}
    with subprocess.Popen([clone / "local_test" / "serve_local.sh"], cwd="/", env=environ, text=True) as process:
        try:
            wait_for_ping(port, process)
            yield process
        finally:
            process.terminate()
            process.wait(40)


def test_train_serve_predict_stop(clone):
    test_dir = clone / "local_test" / "test_dir"
    leftover = test_dir / "model" / "old" / "weights"
    leftover.parent.mkdir()
    leftover.touch()

    trained = script(clone, "train_local.sh")
    assert trained.returncode == 0, trained.stderr
    assert "No image given: training without Docker, by " in trained.stdout
    assert trained.stdout.splitlines()[-1] == f"Next:    {clone}/local_test/serve_local.sh"
    assert (test_dir / "model" / "model.skops").is_file()
    assert (test_dir / "output" / "data" / "report.html").is_file()
    assert (test_dir / "model" / ".gitkeep").exists()
    assert not leftover.parent.exists()

    port = free_port()
    env = {"PORT": str(port)}
    payloads = clone / "local_test" / "payloads"
    with serving(clone, port) as server:
        by_position = script(clone, "predict.sh", str(payloads / "iris.csv"), env=env)
        assert (by_position.returncode, by_position.stdout.split(), by_position.stderr) == (0, CLASSES, "")
        for payload in sorted(payloads.iterdir()):
            done = script(clone, "predict.sh", str(payload), env={**env, "ACCEPT": "application/json"})
            answer = json.loads(done.stdout)["predictions"]
            assert [prediction["predicted_label"] for prediction in answer] == CLASSES, payload
        assert script(clone, "predict.sh", "-", env=env, text="5.1,3.5,1.4,0.2\n").stdout == "setosa\n"
        named = script(
            clone, "predict.sh", "-", "application/json", env=env, text='[{"features": [5.1, 3.5, 1.4, 0.2]}]'
        )
        assert "setosa" in named.stdout

        refused = script(clone, "predict.sh", "-", env=env, text="1,2\n")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.startswith('predict.sh: the server answered 400: {"error":')

        second = script(clone, "serve_local.sh", env=env)
        assert second.returncode == 1
        assert len(second.stderr.splitlines()) == 1
        assert f"serve_local.sh: port {port} is taken by " in second.stderr
        assert f"choose another: PORT={port + 1} " in second.stderr
    assert server.returncode == 0
    nothing_is_left(clone)


@pytest.mark.parametrize(
    ("name", "arguments", "env", "code", "message"),
    [
        ("train_local.sh", ["a", "b"], {}, 2, "train_local.sh: one image at most; see: "),
        ("train_local.sh", ["--gpu"], {}, 2, "train_local.sh: unknown option --gpu; see: "),
        (
            "train_local.sh",
            ["byoc"],
            {"DOCKER": "/none"},
            1,
            "train_local.sh: the Docker client '/none' isn't installed;",
        ),
        ("serve_local.sh", [], {}, 1, "serve_local.sh: the model isn't trained yet; run: "),
        ("serve_local.sh", ["byoc"], {"DOCKER": "/none"}, 1, "serve_local.sh: the Docker client '/none' isn't"),
        ("predict.sh", [], {}, 2, "predict.sh: one payload is needed, and a content type at most; see: "),
        ("predict.sh", ["--x"], {}, 2, "predict.sh: unknown option --x; see: "),
        ("predict.sh", ["/no/such"], {}, 1, "predict.sh: there is no payload /no/such; try: "),
        ("predict.sh", ["/"], {}, 1, "predict.sh: there is no payload /; try: "),
    ],
)
def test_a_mistake_is_one_line(clone, name, arguments, env, code, message):
    done = script(clone, name, *arguments, env=env)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("port", ["x", "0", "65536", "8080; true", "99999"])
def test_a_port_that_is_none(clone, port):
    pretend_trained(clone)
    done = script(clone, "serve_local.sh", env={"PORT": port})
    assert done.returncode == 1
    assert done.stderr == f"serve_local.sh: PORT is a number from 1 to 65535, not '{port}'\n"


def test_nobody_listens(clone):
    port = free_port()
    done = script(clone, "predict.sh", "-", env={"PORT": str(port)}, text="1\n")
    assert done.returncode == 1
    start = f"{clone}/local_test/serve_local.sh"
    assert done.stderr == f"predict.sh: nothing listens on port {port}; start the server first: {start}\n"


def test_no_data_in_the_channel(clone):
    (clone / "local_test" / "test_dir" / "input" / "data" / "training" / "iris.csv").unlink()
    done = script(clone, "train_local.sh")
    assert done.returncode != 0
    said = [line for line in own_lines(done) if line.startswith("train_local.sh: ")]
    assert len(said) == 1
    assert said[0].startswith("train_local.sh: training failed: ")
    assert "training" in said[0].removeprefix("train_local.sh: training failed: ")
    assert said[0].endswith(f"(more in {clone}/local_test/test_dir/output/failure)")
    assert "Traceback" not in done.stderr


def test_packages_are_missing(clone, tmp_path):
    (clone / ".venv").unlink()
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "$@"\n')
    (bare / "python3").chmod(0o755)
    done = script(clone, "train_local.sh", env={"PATH": f"{bare}:{os.environ['PATH']}"})
    assert done.returncode == 1
    assert done.stderr == f"train_local.sh: {bare}/python3 lacks the packages of requirements.txt; run: make install\n"


def test_a_model_folder_that_is_a_link_is_not_emptied(clone, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis").touch()
    model = clone / "local_test" / "test_dir" / "model"
    shutil.rmtree(model)
    model.symlink_to(precious)
    done = script(clone, "train_local.sh")
    assert done.returncode == 1
    assert f"{model} is a link" in done.stderr
    assert (precious / "thesis").exists()


@pytest.mark.parametrize("name", ["train_local.sh", "serve_local.sh", "predict.sh"])
def test_help_has_examples(clone, name):
    done = script(clone, name, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: ")
    assert f"\n  {clone}/local_test/{name}" in done.stdout or f"PORT=9090 {clone}/local_test/{name}" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_training_that_is_stopped_leaves_nothing_running(clone, number):
    config = clone / "local_test" / "test_dir" / "input" / "config" / "hyperparameters.json"
    config.write_text('{"max_iter": "1000000"}')
    command = [clone / "local_test" / "train_local.sh"]
    with subprocess.Popen(command, cwd="/", stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "fitted" in line:
                process.send_signal(number)
                break
        else:
            pytest.fail("it ended by itself")
        process.communicate(timeout=100)
    assert process.returncode != -number  # the script itself came to its end
    nothing_is_left(clone)


@pytest.fixture
def usual_port() -> Iterator[None]:
    """Occupies port 8080, as soon as nobody else on this machine does."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        while listener.getsockname()[1] == 0:
            try:
                listener.bind(("", 8080))
            except OSError:
                time.sleep(0.1)
        listener.listen()
        yield


@pytest.mark.usefixtures("usual_port")
def test_demo_on_a_free_port(clone):
    with start_demo(clone) as process:
        output, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert "8080 is taken: serving on " in output
    rows = (clone / "local_test" / "payloads" / "iris.csv").read_text().split()
    table = [line.split()[:2] for line in output.splitlines()]
    assert [pair for pair in table if pair[0:1] and pair[0] in rows] == [
        list(pair) for pair in zip(rows, CLASSES, strict=True)
    ]
    answer = next(json.loads(line) for line in output.splitlines() if line.startswith('{"predictions"'))
    assert len(answer["predictions"]) == len(rows)
    assert output.splitlines()[-1] == f"Training report: {clone}/local_test/test_dir/output/data/report.html"
    nothing_is_left(clone)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", ["train ", "serve ", "ready "])
def test_a_demo_that_is_stopped_leaves_nothing_running(clone, step, number):
    with start_demo(clone, "--port", str(free_port())) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if f" s] {step}" in line:
                process.send_signal(number)
                break
        else:
            pytest.fail("it ended by itself")
        process.communicate(timeout=150)
    assert process.returncode == 128 + number
    nothing_is_left(clone)


def test_a_demo_says_what_the_scripts_say(clone):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with start_demo(clone, "--port", port) as process:
            _, errors = process.communicate(timeout=150)
    assert process.returncode == 1
    assert "Error: the server ended with exit code 1:" in errors
    assert f"serve_local.sh: port {port} is taken by " in errors
