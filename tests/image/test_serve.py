"""`docker run IMAGE serve`, under the conditions that endpoints, serverless and pipelines put it in."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests import datasets, engine, program
from tests.image import inside
from tests.image.conftest import TABLES, csv

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.docker

ANY_USER = ("--user", "12345:12345", "--read-only", "--tmpfs", "/tmp")
THREE_ROWS = csv(datasets.diabetes().features(slice(0, 3)))


@pytest.fixture(scope="module")
def server(image: str, model: Path) -> Iterator[engine.Container]:
    """A server that tests share and leave as it is."""
    with engine.serving(image, model, "--cpus", "2") as container:
        yield container


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_ping(server: engine.Container, method: str) -> None:
    """Check 45."""
    url = f"{server.url}/ping"
    began = time.monotonic()
    answer = requests.request(method, url, timeout=2)
    assert (answer.status_code, answer.content) == (200, b"")
    assert time.monotonic() - began < 2


def test_predicts_and_leaves_the_model_folder_alone(server: engine.Container, model: Path) -> None:
    """Check 50: it is mounted read only, and nothing tried to write."""
    answer = server.post(THREE_ROWS)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/csv")
    numbers = [float(line) for line in answer.text.split()]
    assert len(numbers) == 3
    assert all(20 < number < 350 for number in numbers)  # the range of disease progression
    assert sorted(path.name for path in model.iterdir()) == ["metrics.json", "model.onnx", "model.skops", "schema.json"]
    assert "Read-only" not in server.log()


def test_signals_of_a_terminal_change_nothing(server: engine.Container) -> None:
    """Check 43."""
    for signal in ("HUP", "WINCH", "USR1", "USR2"):
        engine.docker("kill", "-s", signal, server.name)
    assert server.post(THREE_ROWS).status_code == 200
    assert len(inside.processes(server, "worker")) == 2


@pytest.mark.parametrize("name", TABLES)
def test_answers_as_on_the_laptop(image: str, in_image: dict[str, Path], trained: Path, name: str) -> None:
    """What passes here passes there: the image's model, asked in the image and without it."""
    table = TABLES[name][0]()
    body = csv(table.features(slice(0, None, 7)))
    with engine.serving(image, in_image[name] / "model") as container:
        there = container.post(body, Accept="application/json")
    with program.serving(in_image[name]) as native:
        here = native.post(body, Accept="application/json")
        log = native.log.read_text()
    assert there.status_code == 200, there.text
    assert_same(there, here)
    assert_drift_is_told(log, then=versions(in_image[name]), now=versions(trained))


def test_a_model_of_the_laptop_in_the_image(image: str, trained: Path, in_image: dict[str, Path]) -> None:
    """A model of other library versions answers alike, and a warning names them."""
    body = csv(datasets.iris().features(slice(0, None, 5)))
    with engine.serving(image, trained / "model") as container:
        there, log = container.post(body, Accept="application/json"), container.log()
    with program.serving(trained) as native:
        assert_same(there, native.post(body, Accept="application/json"))
    assert_drift_is_told(log, then=versions(trained), now=versions(in_image["diabetes"]))


def versions(ml: Path) -> dict[str, str]:
    """Return the versions of Python and the libraries that trained the model."""
    created: dict[str, Any] = json.loads((ml / "model/schema.json").read_bytes())["created"]
    return dict(created["versions"])


def assert_drift_is_told(log: str, then: dict[str, str], now: dict[str, str]) -> None:
    """Check that the log warns of the versions that differ, and of nothing where none does."""
    told = [f"{name} {version} then, {now[name]} now" for name, version in then.items() if version != now[name]]
    assert ("trained with other versions" in log) == bool(told)
    assert all(text in log for text in told), log


def assert_same(one: requests.Response, other: requests.Response) -> None:
    """Check that two JSON answers are equal, numbers to a few units in the last place."""
    rows = [answer.json()["predictions"] for answer in (one, other)]
    assert len(rows[0]) == len(rows[1]) > 0
    for left, right in zip(*rows, strict=True):
        assert left.keys() == right.keys()
        for key in left:
            same = left[key] == right[key] or math.isclose(left[key], right[key], rel_tol=1e-9)
            assert same, (key, left, right)


def test_never_ready_without_a_model(image: str, ml: Path) -> None:
    """Check 46: it ends, and the last line says why; no /ping is good before."""
    never_ready(image, ml, "holds no model that is known by its files (found: nothing: the model is not trained yet")


def test_never_ready_with_a_broken_model(image: str, model: Path, ml: Path) -> None:
    """Check 46."""
    (ml / "model/schema.json").write_bytes((model / "schema.json").read_bytes())
    (ml / "model/model.onnx").write_bytes((model / "model.onnx").read_bytes()[:-1000])
    never_ready(image, ml, "model.onnx cannot be loaded")


def never_ready(image: str, ml: Path, *reasons: str) -> None:
    options = ["-v", f"{ml}/model:/opt/ml/model:ro", "-p", f"127.0.0.1:0:{engine.PORT}"]
    with engine.running(image, "serve", options=options) as container:
        seen = set()
        while container.state()["Running"]:
            seen.add(container.ping())
        assert container.wait(60) != 0
        assert 200 not in seen
        last = container.records()[-1]["message"]
        assert any(reason in last for reason in reasons), last


@pytest.mark.parametrize(("options", "workers"), [(("--cpus", "1", "-m", "1g"), 1), (("--cpus", "2", "-m", "1g"), 1)])
def test_workers_follow_the_containers_share(image: str, model: Path, options: tuple[str, ...], workers: int) -> None:
    """Check 59: the cgroup's CPUs and memory count, not the host's."""
    with engine.serving(image, model, *options) as container:
        assert inside.setting(container, "workers") == str(workers)
        assert len(inside.processes(container, "worker")) == workers


@pytest.mark.parametrize(
    "options",
    [
        (*ANY_USER, "-m", "1g", "--ipc", "none"),
        (*ANY_USER, "-m", "1g", "--shm-size", "64k"),
        (*ANY_USER, "--tmpfs", "/dev/shm:mode=0555"),
        ("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        ("--cap-drop", "ALL", "--read-only", "--tmpfs", "/tmp"),
        ("-e", "NVIDIA_VISIBLE_DEVICES=void"),
    ],
    ids=["no /dev/shm", "tiny /dev/shm", "unwritable /dev/shm", "no capabilities", "root, read only", "no GPU"],
)
def test_needs_little(image: str, model: Path, options: tuple[str, ...]) -> None:
    """Checks 60, 103 and 105."""
    with engine.serving(image, model, *options) as container:
        assert container.post(THREE_ROWS).status_code == 200
        if "1g" in options:
            assert inside.setting(container, "workers") == "1"
        assert container.stop(30) == 0, container.log()
        assert not {record["level"] for record in container.records()} & {"WARNING", "ERROR"}, container.log()


def test_needs_no_network(image: str, model: Path, server: engine.Container) -> None:
    """Checks 61 and 104: and does not wait for one while it starts."""
    options = ["-v", f"{model}:/opt/ml/model:ro", "--network", "none"]
    took, limit = [], 2 * ready_after(server) + 3
    # Who waits for a network does so each time; this machine is slow now and then.
    while len(took) < 3 and min(took, default=limit) >= limit:
        with engine.running(image, "serve", options=options) as container:
            container.wait_for_log("ready after")
            assert inside.probe(container, "/ping") == ""
            assert len(inside.probe(container, "/invocations", THREE_ROWS).split()) == 3
            took.append(ready_after(container))
    assert min(took) < limit, took


def ready_after(container: engine.Container) -> float:
    """Return the seconds that the start took, by its own account."""
    line = next(record["message"] for record in container.records() if record["message"].startswith("ready after"))
    return float(line.split()[2])


def test_two_on_one_network(image: str, model: Path) -> None:
    """Checks 99 and 100: the containers of a pipeline share one network, and nothing but their ports listens."""
    options = ["-v", f"{model}:/opt/ml/model:ro"]
    first_options = [*options, "-e", "SAGEMAKER_BIND_TO_PORT=9123", "-e", "SAGEMAKER_SAFE_PORT_RANGE=9200-9210"]
    with engine.running(image, "serve", options=first_options) as first:
        second_options = [*options, "-e", "SAGEMAKER_BIND_TO_PORT=9124", "--network", f"container:{first.name}"]
        with engine.running(image, "serve", options=second_options) as second:
            for container, port in ((first, 9123), (second, 9124)):
                container.wait_for_log("ready after")
                assert len(inside.probe(container, "/invocations", THREE_ROWS, port).split()) == 3
            assert inside.listening(first) == {9123, 9124}


def test_python3_serve(image: str, model: Path) -> None:
    """The classic's other way to be started: from /opt/program, by Python."""
    for words in (["serve"], ["serve", "serve"]):
        options = ["-v", f"{model}:/opt/ml/model:ro", "-p", f"127.0.0.1:0:{engine.PORT}", "--entrypoint", "python3"]
        with engine.running(image, *words, options=options) as container:
            container.wait_ready()
            assert container.stop(30) == 0
