"""SageMaker's own SDK, a client that is not ours: local mode of version 2, and the notebook's cell by version 3."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import datasets, emulator, engine, program
from tests.program import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.docker

SDK = ROOT / "tests/sdk"
# Outside the repository, so that an SDK is installed once and not for each clone.
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "byoc/sdk"
# The SDKs want a region and credentials, whatever for.
NOBODY = {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
ROWS = {"7.0,3.2,4.7,1.4": "versicolor", "5.1,3.5,1.4,0.2": "setosa", "6.3,3.3,6.0,2.5": "virginica"}


@cache
def python(requirements: Path) -> Path:
    """Return the Python of a virtual environment that has these packages; others have another one."""
    folder = CACHE / hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    found = folder / "bin/python"
    if not (folder / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [found, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
        subprocess.run([*install, "--require-hashes", "-r", requirements], check=True, timeout=250)
        (folder / "installed").touch()
    return found


def run(name: str, *words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program of `tests/sdk` with the packages that it is locked to."""
    path = f"{Path(engine.client()).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [python(SDK / f"{name}.txt"), SDK / f"{name}.py", *map(str, words)],
        env={**emulator.environ(), "PATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )


@pytest.fixture
def container_root(image: str, tmp_path: Path) -> Iterator[Path]:
    """Where local mode keeps what it mounts; the containers and the network that it leaves behind are removed."""
    plugin = subprocess.run([engine.client(), "compose", "version"], capture_output=True, check=False)
    if plugin.returncode != 0 and shutil.which("docker-compose") is None:
        engine.unavailable("local mode needs docker-compose")
    folder = tmp_path / "local-mode"
    folder.mkdir()
    yield folder
    label = '{{.ID}} {{.Label "com.docker.compose.project.working_dir"}}'
    listed = engine.docker("ps", "--all", "--filter", "label=com.docker.compose.project", "--format", label).stdout
    for container, where in (line.split(maxsplit=1) for line in listed.splitlines()):
        if Path(where).is_relative_to(folder):
            engine.docker("rm", "-f", "-v", container)
    # Another of the SDK's jobs on this machine may be on it; then it stays.
    engine.docker("network", "rm", "sagemaker-local", check=False)
    engine.give_back(image, folder)


def test_local_mode_fits_deploys_and_predicts(image: str, container_root: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    datasets.iris().write(data / "iris.csv")
    done = run("local_mode", image, data, container_root, program.free_port(), "\n".join(ROWS), **NOBODY)
    assert done.returncode == 0, done.stdout + done.stderr
    # What the containers wrote came through the SDK.
    assert "validation:accuracy=" in done.stdout
    assert "POST /invocations" in done.stdout
    assert json.loads(done.stdout.splitlines()[-1]) == [[label] for label in ROWS.values()]


def test_the_notebooks_cell_trains_on_the_emulator(image: str, tmp_path: Path) -> None:
    with emulator.emulating(tmp_path) as running:
        data = emulator.put_iris(running)
        told = json.loads(emulator.command("env", "--json", state=running.state).stdout)
        done = run("notebook_cell", ROOT / "notebook.ipynb", image, emulator.BUCKET, data, **told)
        assert done.returncode == 0, done.stdout + done.stderr
        name, _, status = done.stdout.splitlines()[-1].partition(": ")
        assert (name[:9], status) == ("iris-sdk-", "Completed")
        job = running.describe(name)
        assert job["RoleArn"] == told["SAGEMAKER_ROLE"]
        assert "model.onnx" in running.untar(job["ModelArtifacts"]["S3ModelArtifacts"])
        assert "fitting LogisticRegression on 120 rows" in running.logs(f"TrainingJobs/{name}")
