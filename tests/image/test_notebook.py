"""notebook.ipynb, executed whole on an emulator with real containers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import engine, program
from tests.program import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.docker

NOTEBOOK = ROOT / "notebook.ipynb"


def cells(file: Path) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(file.read_text())["cells"] if cell["cell_type"] == "code"]


def printed(file: Path) -> str:
    """Return all that the cells of an executed notebook have printed or shown as text."""
    outputs = [output for cell in cells(file) for output in cell["outputs"]]
    texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs]
    return "\n".join("".join(text) for text in texts)


@pytest.fixture(scope="module")
def executed(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The notebook after a run as `make notebook` does it, with an emulator of its own."""
    folder = tmp_path_factory.mktemp("notebook")
    engine.docker("tag", image, "byoc")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAGEMAKER_"))}
    variables = {
        "BYOC_EMULATOR_STATE": str(folder / "emulator"),
        "BYOC_EMULATOR_PORT": str(program.free_port()),
        "PYTHONPATH": str(ROOT),
    }
    target = folder / "executed.ipynb"
    execute = [str(Path(sys.executable).with_name("jupyter-execute")), str(NOTEBOOK), f"--output={target}"]
    done = subprocess.run(
        execute, cwd=ROOT, env={**kept, **variables}, capture_output=True, text=True, check=False, timeout=280
    )
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        yield target
    finally:
        stop = [sys.executable, "-c", "from byoc_cli.main import main; main()", "emulator", "stop"]
        subprocess.run(stop, env={**kept, **variables}, capture_output=True, check=False, timeout=100)


def test_every_cell_ran_and_the_models_are_good(executed: Path) -> None:
    """A cell that fails ends the run; the last ones compare two models on one endpoint with the truth."""
    assert all(cell["execution_count"] for cell in cells(executed))
    told = printed(executed)
    (boosting,) = [line.split() for line in told.splitlines() if line.startswith("boosting ")]
    (forest,) = [line.split() for line in told.splitlines() if line.startswith("forest ")]
    assert all(float(share) > 0.85 for _, *shares in (boosting, forest) for share in shares)
    assert "'InService'" in told


def test_its_pictures_are_drawn(executed: Path) -> None:
    pictures = [
        output for cell in cells(executed) for output in cell["outputs"] if "image/png" in output.get("data", {})
    ]
    reports = [
        output for cell in cells(executed) for output in cell["outputs"] if "text/html" in output.get("data", {})
    ]
    assert len(pictures) == 3
    assert any("srcdoc" in "".join(each["data"]["text/html"]) for each in reports)


def test_nothing_of_it_runs_on(executed: Path) -> None:
    listed = engine.docker("ps", "--format", "{{.Mounts}}", "--no-trunc").stdout
    assert str(executed.parent) not in listed


def test_it_is_kept_without_outputs() -> None:
    """What was printed on somebody's machine is no part of it."""
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells(NOTEBOOK))
