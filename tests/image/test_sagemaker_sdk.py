"""Local mode of SageMaker's own SDK, a client that is not ours, trains, deploys and asks the image."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import datasets, engine, program
from tests.program import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.docker

SDK = ROOT / "tests/sdk"
REQUIREMENTS = SDK / "requirements.txt"
# Outside the repository, so that the SDK is installed once and not for each clone.
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "byoc/sdk"
ROWS = {"7.0,3.2,4.7,1.4": "versicolor", "5.1,3.5,1.4,0.2": "setosa", "6.3,3.3,6.0,2.5": "virginica"}


@pytest.fixture(scope="module")
def python(image: str) -> Path:
    """The Python of a virtual environment that has the SDK; another list of packages has another one."""
    plugin = subprocess.run([engine.client(), "compose", "version"], capture_output=True, check=False)
    if plugin.returncode != 0 and shutil.which("docker-compose") is None:
        engine.unavailable("local mode needs docker-compose")
    folder = CACHE / hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    found = folder / "bin/python"
    if not (folder / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [found, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "--require-hashes", "-r", REQUIREMENTS], check=True, timeout=270)
        (folder / "installed").touch()
    return found


@pytest.fixture
def container_root(image: str, tmp_path: Path) -> Iterator[Path]:
    """Where the SDK keeps what it mounts; the containers and the network that it leaves behind are removed."""
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


def test_it_fits_deploys_and_predicts(image: str, python: Path, container_root: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    datasets.iris().write(data / "iris.csv")
    words = [image, data, container_root, program.free_port(), "\n".join(ROWS)]
    done = subprocess.run(
        [python, SDK / "local_mode.py", *map(str, words)],
        env={**environ(), "PATH": f"{Path(engine.client()).parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # Each container's output came through the SDK.
    assert "validation:accuracy=" in done.stdout
    assert "POST /invocations" in done.stdout
    assert json.loads(done.stdout.splitlines()[-1]) == [[label] for label in ROWS.values()]


def environ() -> dict[str, str]:
    """Return this process's variables with AWS's: a region and credentials must be there, and are not used."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAGEMAKER_"))}
    return {**kept, "AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
