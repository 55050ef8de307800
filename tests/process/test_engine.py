"""SERVE_ENGINE with real servers: the same answers, and nothing of scikit-learn's in a process that serves ONNX."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from byoc.flavors import sklearn as flavor
from tests.program import Server, serving, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.conftest import Trained


def libraries(server: Server) -> set[str]:
    """Return the packages whose compiled parts gunicorn's master and workers have in memory."""
    children = server.children()
    assert children["worker"]
    maps = [Path(f"/proc/{pid}/maps").read_text() for pid in children["gunicorn"] + children["worker"]]
    parts = [line.partition("site-packages/")[2] for text in maps for line in text.splitlines()]
    return {part.partition("/")[0] for part in parts}


@pytest.mark.parametrize("engine", ["auto", "onnx", "sklearn"])
def test_every_engine_answers_the_same(engine: str, trained_on: Callable[[str], Trained]) -> None:
    """Check 47; a forest's large requests go to scikit-learn where both engines may serve, in a thread's good time."""
    job = trained_on("digits")
    rows = [[float(cell) for cell in row] for row in job.dataset.features(slice(None)) * 2]
    # In JSON, which is decoded whole: CSV would come in pieces of fewer rows.
    request = (json.dumps(rows), "application/json")
    with serving(job.base, MODEL_SERVER_WORKERS="1", SERVE_ENGINE=engine) as server:
        if engine != "sklearn":
            assert not libraries(server) & {"sklearn", "scipy", "pandas"}
        answers = {server.post(*request, Accept="text/csv").text for _ in range(2)}
        if engine == "auto":
            wait_until(lambda: "sklearn" in libraries(server), what="scikit-learn")
        assert ("sklearn" in libraries(server)) == (engine != "onnx")
        answers.add(server.post(*request, Accept="text/csv").text)
    expected = flavor.load(job.base / "model").predict(rows)
    assert answers == {"".join(f"{label}\n" for label in expected)}
