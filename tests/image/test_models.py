"""Many models in a container with little memory, that is really used up; with CONTRACT's numbers of checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests import engine
from tests.program import ROOT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.docker

PREDICTOR = ROOT / "tests/process/handlers/scripted/predictor.py"
# What each of the ordinary models takes: less than what is to stay free, so that the kernel need not interfere.
MEGABYTES = 50
MEMORY = ("-m", "700m", "--memory-swap", "700m")


@pytest.fixture(scope="module")
def server(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[engine.Container]:
    """A server of models that take as much memory as their names say: `model-MEGABYTES-…`."""
    models: Path = tmp_path_factory.mktemp("models")
    for name in (*(f"model-{MEGABYTES}-{number}" for number in range(16)), "model-4000-0"):
        (models / name / "model").mkdir(parents=True)
        (models / name / "model/while_loading").write_text(f"allocate,{name.split('-')[1]}")
    options = (
        *("-v", f"{models}:/opt/ml/models:ro", "-v", f"{PREDICTOR}:/opt/program/predictor.py:ro"),
        *("-e", "SAGEMAKER_MULTI_MODEL=true", "-p", f"127.0.0.1:0:{engine.PORT}", *MEMORY),
    )
    with engine.running(image, "serve", options=options) as container:
        container.wait_ready()
        yield container


def ask(server: engine.Container, method: str, path: str = "", **options: Any) -> tuple[int, str]:
    answer = requests.request(method, f"{server.url}/models{path}", timeout=60, **options)
    return answer.status_code, answer.text


def load(server: engine.Container, name: str) -> tuple[int, str]:
    return ask(server, "POST", json={"model_name": name, "url": f"/opt/ml/models/{name}/model"})


def invoke(server: engine.Container, name: str, body: str) -> tuple[int, str]:
    return ask(server, "POST", f"/{name}/invoke", data=body, headers={"Content-Type": "text/csv"})


def test_until_memory_is_full(server: engine.Container) -> None:
    """Check 90: 507, and all others go on; when one has made room, the same request succeeds."""
    loaded: list[str] = []
    while True:
        name = f"model-{MEGABYTES}-{len(loaded)}"
        status, text = load(server, name)
        if status != 200:
            break
        loaded.append(name)
    assert (status, len(loaded) > 2) == (507, True), text
    assert '"insufficient_memory"' in text
    assert "MB of memory are left" in text
    assert [invoke(server, each, "echo,1") for each in loaded] == [(200, "1\n")] * len(loaded)
    assert invoke(server, name, "echo,1")[0] == 404

    assert ask(server, "DELETE", f"/{loaded[0]}")[0] == 200
    assert load(server, name)[0] == 200, server.log()
    assert invoke(server, name, "echo,2") == (200, "2\n")
    for each in (*loaded[1:], name):
        assert ask(server, "DELETE", f"/{each}")[0] == 200


def test_a_model_larger_than_memory(server: engine.Container) -> None:
    """Check 90: the kernel ends the process that loads it, and none else."""
    assert load(server, f"model-{MEGABYTES}-0")[0] == 200
    status, text = load(server, "model-4000-0")
    assert (status, "was killed: memory ran out" in text) == (507, True), text
    assert invoke(server, f"model-{MEGABYTES}-0", "echo,1") == (200, "1\n")
    wait_until(lambda: server.ping() == 200, 20, "a good ping")
    assert server.state()["Running"]


def test_a_prediction_that_takes_all_memory(server: engine.Container) -> None:
    """It is answered 507, and the model is soon there again."""
    name = f"model-{MEGABYTES}-1"
    assert load(server, name)[0] == 200
    status, text = invoke(server, name, "allocate,4000")
    assert (status, '"insufficient_memory"' in text) == (507, True), text
    wait_until(lambda: invoke(server, name, "echo,1") == (200, "1\n"), 20, "a new process")
    wait_until(lambda: server.ping() == 200, 20, "a good ping")


def test_the_end(server: engine.Container) -> None:
    """Check 39, and the last of this module."""
    assert server.stop(30) == 0
