"""How a server begins: ready when its model is, or ended with one line that says why; with CONTRACT's checks."""

from __future__ import annotations

import json
import shutil
import socket
from typing import TYPE_CHECKING

import pytest
import requests

from tests.program import Server, free_port, wait_until, write_program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.conftest import Trained

BAD = {
    "MODEL_SERVER_WORKERS": "many",
    "MODEL_SERVER_TIMEOUT": "0",
    "SAGEMAKER_STARTUP_TIMEOUT": "-1",
    "SAGEMAKER_MAX_PAYLOAD_IN_MB": "6.5",
    "SAGEMAKER_MODEL_JOB_QUEUE_SIZE": "none",
    "SAGEMAKER_MAX_BATCH_ROWS": "0",
    "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "csv",
    "SAGEMAKER_INFERENCE_OUTPUT": "everything",
    "SAGEMAKER_BATCH": "perhaps",
    "SERVE_ENGINE": "fast",
    "SAGEMAKER_CONTAINER_LOG_LEVEL": "loud",
}


def was_never_ready(server: Server) -> bool:
    """Ask /ping until the server ends; tell whether it was 503, but for one 504 at most."""
    others = []
    while server.process.poll() is None:
        try:
            status = requests.get(f"{server.url}/ping", timeout=10).status_code
        except requests.RequestException:
            continue
        if status != 503:
            others.append(status)
    # One of them may meet a moment in which this machine does nothing.
    return others in ([], [504])


def no_schema(model: Path) -> None:
    (model / "schema.json").unlink()


def no_model(model: Path) -> None:
    (model / "model.skops").unlink()
    (model / "model.onnx").unlink()


def corrupt_model(model: Path) -> None:
    for file in (model / "model.skops", model / "model.onnx"):
        file.write_bytes(file.read_bytes()[:2000])


def empty(model: Path) -> None:
    for file in model.iterdir():
        file.unlink()


@pytest.mark.parametrize(
    ("spoil", "engine", "file", "told"),
    [
        (empty, "auto", "", "holds no model that is known by its files (found: nothing: the model is not trained yet"),
        (no_schema, "auto", "", "holds more than one model: model.skops (scikit-learn, as skops), model.onnx (ONNX)"),
        (no_model, "sklearn", "model.skops", "is missing: the model is not trained yet"),
        (no_model, "auto", "model.onnx", "cannot be read: No such file or directory"),
        (corrupt_model, "sklearn", "model.skops", "cannot be loaded"),
        (corrupt_model, "auto", "model.onnx", "cannot be loaded"),
    ],
)
def test_a_model_that_cannot_be_loaded(
    trained_on: Callable[[str], Trained],
    launch: Callable[..., Server],
    base: Path,
    spoil: Callable[[Path], None],
    engine: str,
    file: str,
    told: str,
) -> None:
    """Check 46: /ping is never 200, and the server ends with the reason as its last line."""
    shutil.copytree(trained_on("iris").base / "model", base / "model", dirs_exist_ok=True)
    spoil(base / "model")
    server = launch(SERVE_ENGINE=engine)
    assert was_never_ready(server)
    assert server.process.returncode == 1
    assert server.last_line().startswith(f"stopped: {base / 'model' / file} ")
    assert told in server.last_line()
    assert "Traceback" not in server.log.read_text()


def test_a_model_that_no_worker_can_load(launch: Callable[..., Server], base: Path) -> None:
    """Every worker tries on its own, several fail at once, and the end is as short as with one."""
    (base / "model" / "mojo.zip").write_bytes(b"no archive")
    server = launch(MODEL_SERVER_WORKERS="4")
    assert was_never_ready(server)
    assert server.process.returncode == 1
    assert server.last_line().startswith("stopped: mojo.zip is a model of H2O-3, as MOJO, and this image lacks what")
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("fork_safe", ["true", "false"])
def test_ping_waits_for_the_model(scripted: Path, launch: Callable[..., Server], fork_safe: str) -> None:
    """Checks 44, 46: the port is open at once; 503 with a reason in JSON, then 200."""
    server = launch(scripted, MODEL_SERVER_WORKERS="1", FORK_SAFE=fork_safe, WHILE_LOADING="sleep,4")
    answers: list[tuple[int, str]] = []

    def is_ready() -> bool:
        assert server.process.poll() is None, server.log.read_text()
        try:
            answer = requests.get(f"{server.url}/ping", timeout=10)
        except requests.RequestException:
            return False
        answers.append((answer.status_code, answer.text))
        return answer.status_code == 200

    wait_until(is_ready, what="a good /ping")
    early = {text for status, text in answers if status == 503}
    assert [json.loads(text)["error"]["message"] for text in early] == ["the model is loading"]
    assert len(answers) > 5
    assert server.post("echo,1").text == "1\n"
    assert server.stop() == 0


def test_a_port_that_is_taken(scripted: Path, launch: Callable[..., Server]) -> None:
    """Issue 2, item 7: one clear line."""
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        server = launch(scripted, SAGEMAKER_BIND_TO_PORT=str(port))
        assert server.process.wait(60) == 1
    assert server.last_line().startswith(f"stopped: port {port} cannot be used: Address already in use.")


def test_every_bad_variable_is_named_at_once(scripted: Path, launch: Callable[..., Server]) -> None:
    """Decision 1 of the design: ten mistakes, one start."""
    server = launch(scripted, SAGEMAKER_BIND_TO_PORT=str(free_port()), **BAD)
    assert server.process.wait(60) == 2
    told = [line["message"] for line in server.records()]
    for name, value in BAD.items():
        assert len([line for line in told if line.startswith(f"{name}={value!r} must be ")]) == 1
    assert told[-1] == "stopped: the environment has 11 mistakes, see above"
    assert len(told) == 12


@pytest.mark.parametrize("text", ["1/0\n", "predict = print\n", "import nowhere\n", "raise SystemExit\n"])
def test_a_predictor_that_cannot_be_used(text: str, launch: Callable[..., Server], tmp_path: Path) -> None:
    """Check 46: a mistake in the user's file ends the server with its reason."""
    (tmp_path / "predictor.py").write_text(text)
    server = launch(write_program(tmp_path / "program", tmp_path / "predictor.py"))
    assert server.process.wait(60) == 1
    assert server.last_line().startswith("stopped: predictor.py ")
