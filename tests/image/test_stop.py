"""How `docker run IMAGE serve` ends: when it is told to, when a part of it dies, and how it lives through lost workers."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest
import requests

from tests import datasets, engine, program
from tests.image import inside
from tests.image.conftest import csv

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.docker

THREE_ROWS = csv(datasets.diabetes().features(slice(0, 3)))
# A model that takes its time, put over predictor.py.
SLOW = """\
import pathlib, time
FORK_SAFE = True
def model_fn(model_dir):
    return None
def predict_fn(data, model):
    pathlib.Path("/tmp/predicting").touch()
    time.sleep({seconds})
    return [1.0] * len(data)
"""
PREDICTING = "import pathlib; print(pathlib.Path('/tmp/predicting').exists())"


@pytest.fixture
def slow(tmp_path: Path) -> str:
    """The mount of a predictor that needs six seconds."""
    file = tmp_path / "predictor.py"
    file.write_text(SLOW.format(seconds=6))
    file.chmod(0o644)
    return f"{file}:/opt/program/predictor.py:ro"


def test_finishes_what_it_began_when_stopped(image: str, model: Path, slow: str) -> None:
    """Check 39: requests in flight are answered, new ones refused, and the end is exit code 0 within the 30 seconds."""
    with engine.serving(image, model.parent / "no-model", "-v", slow, "--cpus", "2") as container:
        url = container.url
        ask = partial(requests.post, f"{url}/invocations", "1\n", headers={"Content-Type": "text/csv"}, timeout=100)
        with ThreadPoolExecutor(8) as pool:
            flying = [pool.submit(ask) for _ in range(4)]
            program.wait_until(lambda: inside.connections(container) >= 4, what="four requests")
            program.wait_until(lambda: container.python(PREDICTING) == "True", what="a prediction")
            stopped = pool.submit(timed_stop, container)
            program.wait_until(lambda: is_refused(url), 10, "a refused connection")
            assert not all(request.done() for request in flying)
            assert [request.result().status_code for request in flying] == [200] * 4
            code, seconds = stopped.result()
    assert code == 0
    assert seconds < 30


def timed_stop(container: engine.Container) -> tuple[int, float]:
    began = time.monotonic()
    return container.stop(30), time.monotonic() - began


def is_refused(url: str) -> bool:
    try:
        requests.get(f"{url}/ping", timeout=2)
    except requests.ConnectionError:
        return True
    return False


def test_no_bad_answer_while_it_stops_under_load(image: str, model: Path) -> None:
    """Check 39: every request that is answered at all is answered well."""
    with engine.serving(image, model) as container:
        url, body = container.url, THREE_ROWS

        def ask_until_refused() -> list[int]:
            codes: list[int] = []
            while True:
                try:
                    answer = requests.post(f"{url}/invocations", body, headers={"Content-Type": "text/csv"}, timeout=30)
                except requests.ConnectionError:
                    return codes
                codes.append(answer.status_code)

        with ThreadPoolExecutor(8) as pool:
            clients = [pool.submit(ask_until_refused) for _ in range(8)]
            program.wait_until(lambda: container.log().count("POST /invocations") > 100, what="a hundred requests")
            assert container.stop(30) == 0, container.log()
            codes = [code for client in clients for code in client.result()]
    assert len(codes) > 100
    assert set(codes) == {200}


@pytest.mark.parametrize("kind", ["nginx", "gunicorn"])
def test_ends_when_a_part_of_it_dies(image: str, model: Path, kind: str) -> None:
    """Check 40: the platform replaces a container that ends, not one that is half alive."""
    with engine.serving(image, model) as container:
        inside.kill(container, inside.processes(container, kind)[0])
        assert container.wait(30) != 0
        assert kind in container.records()[-1]["message"]


def test_replaces_a_worker_and_leaves_no_zombies(image: str, model: Path) -> None:
    """Checks 41 and 42."""
    with engine.serving(image, model, "--cpus", "2") as container:
        before = inside.processes(container, "worker")
        inside.kill(container, before[0])
        program.wait_until(lambda: is_replaced(container, before[:1]), what="a new worker")
        program.wait_until(lambda: container.ping() == 200, 20, "a good ping")
        assert {container.post(THREE_ROWS).status_code for _ in range(20)} == {200}
        for _ in range(5):
            old = inside.processes(container, "worker")
            for pid in old:
                inside.kill(container, pid, "SIGQUIT")
            program.wait_until(partial(is_replaced, container, old), what="new workers")
        # An orphan that ends is PID 1's to bury.
        engine.docker("exec", container.name, "bash", "-c", "(sleep 0.1 & )")
        program.wait_until(lambda: inside.zombies(container) == 0, 30, "the end of all zombies")
        assert container.post(THREE_ROWS).status_code == 200


def is_replaced(container: engine.Container, old: list[int]) -> bool:
    now = inside.processes(container, "worker")
    return len(now) == 2 and not set(now) & set(old)
