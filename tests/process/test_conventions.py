"""Handlers of every convention behind real nginx and gunicorn, and what they may do wrong without harming the server."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
import requests

from tests import program
from tests.process.conftest import HANDLERS
from tests.program import Server, serving, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.process.conftest import Trained

EXAMPLES = program.ROOT / "examples"
MISBEHAVING = str(HANDLERS / "handle" / "misbehaving.py")
ROWS = {"instances": [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]}


def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return program.write_job(tmp_path_factory.mktemp("job"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    variables = {"BYOC_ENTRY_POINT": MISBEHAVING, "MODEL_SERVER_WORKERS": "1", "SAGEMAKER_MAX_FAILURES_IN_A_ROW": "0"}
    with serving(job(tmp_path_factory), **variables) as started:
        yield started


@pytest.mark.parametrize(
    ("example", "method"), [("handle", ""), ("base_model", ""), ("base_model", "ModelHandler.handle")]
)
def test_an_example_answers_with_a_model_that_train_made(
    trained_on: Callable[[str], Trained], example: str, method: str
) -> None:
    variables = {"BYOC_ENTRY_POINT": str(EXAMPLES / example / "handler.py"), "BYOC_ENTRY_POINT_METHOD": method}
    with serving(trained_on("iris").base, **variables) as started:
        answer = started.post(json.dumps(ROWS), "application/json")
        bad = [started.post(body, "application/json") for body in ("", "[", '{"instances": [[1, 2]]}')]
        strange = started.post(json.dumps(ROWS), "text/csv")
        declined = started.post(json.dumps(ROWS), "application/json", Accept="text/csv")
    assert answer.json() == {"species": ["setosa", "virginica"]}
    assert answer.headers["Content-Type"] == "application/json"
    assert [each.status_code for each in bad] == [400] * 3
    assert (strange.status_code, declined.status_code) == (415, 406)


WRONG = {
    "a list too long": ("many x", 500),
    "a list too short": ("few", 500),
    "no value that can be sent": ("object", 500),
    "an exit": ("exit 3", 500),
    "an error": ("raise", 500),
    "no memory": ("no_memory", 500),
    "no such action": ("nonsense", 500),
}


@pytest.mark.parametrize(("body", "status"), WRONG.values(), ids=WRONG)
def test_a_mistake_costs_its_request_and_not_the_worker(server: Server, body: str, status: int) -> None:
    """CONTRACT checks 69 to 71."""
    before = server.post("pid").text
    answer = server.post(body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, "prediction_failed")
    assert "Traceback" not in answer.text
    assert server.post("pid").text == before


def test_what_is_printed_is_no_answer(server: Server) -> None:
    assert server.post("print hello").text == "printed"
    wait_until(lambda: "hello" * 1000 in server.log.read_text(), what="the print in the log")


def test_a_changed_directory_is_the_same_for_the_next_request(server: Server) -> None:
    before = server.post("where").text
    assert server.post("chdir /").text == "gone"
    assert server.post("where").text == before


def test_the_context_tells_and_is_told(server: Server) -> None:
    headers = {"X-Amzn-SageMaker-Custom-Attributes": "a=1", "X-Amzn-SageMaker-Inference-Id": "id-7"}
    answer = server.post("say hi", **headers)
    assert answer.text.startswith("hi id-7 ")
    assert (answer.status_code, answer.headers["X-Seen"]) == (203, "a=1")
    assert server.post("json x").json() == {"argument": "x"}


def test_a_worker_that_ends_is_replaced(server: Server) -> None:
    before = server.post("pid").text
    assert server.post("kill").status_code in (502, 503)
    wait_until(lambda: server.post("pid").text not in (before, "") and server.post("pid").ok, what="a new worker")


def loads_of(server: Server) -> list[str]:
    """Return the pid of each load that was told of."""
    return re.findall(r"loaded once in (\d+)", server.log.read_text())


def test_leaked_threads_keep_nobody_from_ending(tmp_path_factory: pytest.TempPathFactory) -> None:
    variables = {"BYOC_ENTRY_POINT": MISBEHAVING, "MODEL_SERVER_WORKERS": "2"}
    with serving(job(tmp_path_factory), **variables) as started:
        assert int(started.post("leak 50").text) > 50
        assert started.post("pid").ok
        wait_until(lambda: len(set(loads_of(started))) == 2, what="both workers")
        assert started.stop() == 0
    loaded = loads_of(started)
    assert len(loaded) == len(set(loaded)) == 2


def test_memory_that_runs_out_by_words_makes_room_among_many_models(tmp_path_factory: pytest.TempPathFactory) -> None:
    """CONTRACT check 90: 507 for a load, whatever the library calls it."""
    base = job(tmp_path_factory)
    variables = {"BYOC_ENTRY_POINT": MISBEHAVING, "SAGEMAKER_MULTI_MODEL": "true"}
    for name in ("small", "large"):
        (base / "models" / name / "model").mkdir(parents=True)
    (base / "models" / "large" / "model" / "too_large").touch()
    with serving(base, **variables) as started:
        asked = {
            name: requests.post(
                f"{started.url}/models",
                json={"model_name": name, "url": f"/opt/ml/models/{name}/model"},
                timeout=60,
            )
            for name in ("large", "small")
        }
        assert [answer.status_code for answer in asked.values()] == [507, 200]
        assert asked["large"].json()["error"]["code"] == "insufficient_memory"
        answers = [
            requests.post(f"{started.url}/models/small/invoke", data=body, timeout=60)
            for body in ("no_memory", "json x")
        ]
    assert [answer.status_code for answer in answers] == [507, 200]
    assert answers[1].json() == {"argument": "x"}


FAULTY = {
    "nothing of use": ("x = 1\n", "handler.py defines nothing that could answer a request"),
    "a missing package": ("import no_such_package\n", "handler.py cannot be imported: ModuleNotFoundError"),
    "too much": (
        "def handle(data, context): pass\ndef predict_fn(data, model): pass\n",
        "handler.py can be understood in more than one way",
    ),
    "a load that fails": (
        "def handle(data, context): raise ValueError('no weights')\n",
        "handle, called without data to load the model, failed: ValueError: no weights",
    ),
}


@pytest.mark.parametrize(("source", "told"), FAULTY.values(), ids=FAULTY)
def test_a_handler_that_cannot_serve_ends_the_start_with_one_line(tmp_path: Path, source: str, told: str) -> None:
    """CONTRACT check 46."""
    (tmp_path / "handler.py").write_text(source)
    started = Server(program.write_job(tmp_path), BYOC_ENTRY_POINT=str(tmp_path / "handler.py"))
    assert started.process.wait(60) != 0
    assert told in started.last_line()


def test_fit_in_the_handlers_file_trains(tmp_path: Path) -> None:
    (tmp_path / "handler.py").write_text(
        "METRICS = ['loss']\n"
        "def fit(job):\n    (job.model_dir / 'm').write_text(str(job.hyperparameters['a']))\n    job.metric('loss', 1.5)\n"
        "def handle(data, context): pass\n"
    )
    base = program.write_job(tmp_path, {"a": "7"})
    done = program.train(base, BYOC_ENTRY_POINT=str(tmp_path / "handler.py"))
    assert done.returncode == 0, done.stderr
    assert (base / "model" / "m").read_text() == "7"
    assert "loss=1.5;" in done.stdout


def test_a_train_beside_the_handler_trains(tmp_path: Path) -> None:
    (tmp_path / "handler.py").write_text("def handle(data, context): pass\n")
    for line, source in {
        "#!/bin/sh": 'echo "$*" > "$SM_MODEL_DIR/m"\n',
        "#!/usr/bin/env python3": "import os, sys\nopen(os.environ['SM_MODEL_DIR'] + '/m', 'w').write(' '.join(sys.argv[1:]))\n",
    }.items():
        (tmp_path / "train").write_text(f"{line}\n{source}")
        base = program.write_job(tmp_path, {"a": "7"})
        done = program.train(base, BYOC_ENTRY_POINT=str(tmp_path / "handler.py"))
        assert done.returncode == 0, done.stderr
        assert (base / "model" / "m").read_text().strip() == "-a 7"
        (base / "model" / "m").unlink()


def test_a_file_that_only_serves_says_so_when_asked_to_train(tmp_path: Path) -> None:
    (tmp_path / "handler.py").write_text("def handle(data, context): pass\n")
    base = program.write_job(tmp_path)
    assert program.train(base, BYOC_ENTRY_POINT=str(tmp_path / "handler.py")).returncode == 1
    assert (base / "output" / "failure").read_text().startswith("UserError: handler.py defines no fit(job)")
