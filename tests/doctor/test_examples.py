"""`byoc doctor` on images that `byoc docker build` makes of the examples of handlers."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tests import datasets, engine, program
from tests.program import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

EXAMPLES = ROOT / "examples"


@pytest.fixture
def built(request: pytest.FixtureRequest) -> Iterator[str]:
    """The image of an example's file."""
    name = engine.unique()
    build = ["docker", "build", "-i", name, "-e", str(EXAMPLES / request.param), "--no-use-shell"]
    words = [sys.executable, "-c", "from byoc_cli.main import main; main()", *build]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    yield name
    engine.docker("rmi", "--force", name, check=False)


@pytest.fixture
def iris(tmp_path: Path) -> Path:
    """A model that `train` has made."""
    base = program.write_job(tmp_path / "ml")
    datasets.iris().write(base / "input/data/training/iris.csv")
    assert program.train(base).returncode == 0
    return base / "model"


@pytest.mark.parametrize("built", ["handle/handler.py", "base_model/handler.py"], indirect=True)
def test_handlers_that_only_serve(built: str, iris: Path, tmp_path: Path, examine: Callable[..., object]) -> None:
    (tmp_path / "rows.json").write_text(json.dumps({"instances": [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]}))
    payload = ("--payload", str(tmp_path / "rows.json"), "--content-type", "application/json")
    examined = examine(built, "--model", str(iris), *payload, timeout=800)
    assert examined.code == 0, examined.output
    assert sum(result["status"] == "passed" for result in examined.results.values()) >= 45


@pytest.mark.parametrize("built", ["functions/digits.py"], indirect=True)
def test_functions_that_train_as_well(built: str, tmp_path: Path, examine: Callable[..., object]) -> None:
    digits = load_digits()
    (tmp_path / "data").mkdir()
    table = np.column_stack([digits.target, digits.data])
    np.savetxt(tmp_path / "data" / "digits.csv", table, fmt="%d", delimiter=",")
    payload = ("--payload", str(EXAMPLES / "functions" / "five.png"), "--content-type", "image/png")
    examined = examine(built, "--data", str(tmp_path / "data"), *payload, timeout=800)
    assert examined.code == 0, examined.output
    assert sum(result["status"] == "passed" for result in examined.results.values()) >= 75
