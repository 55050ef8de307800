"""Small images, good and bad: one program, and FAULT of the environment to say what it does wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests import engine
from tests.program import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DOCKERFILE = """
FROM {base}
ENV FAULT="{fault}" PYTHONPATH=/opt/doctored PATH=/opt/doctored:/usr/bin:/bin
# The base has it; this server knows one port only.
LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=false
COPY . /opt/doctored/
{ending}
"""


class Examined(NamedTuple):
    """A run of the doctor: its exit code, what it printed and its results by number."""

    code: int
    output: str
    errors: str
    results: dict[int, dict[str, Any]]


def command(image: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", "from byoc_cli.main import main; main()", "doctor", image, *arguments]


@pytest.fixture(scope="session")
def base(image: str) -> Iterator[str]:
    """The image under test by a name of our own; it has the Python that the small images need."""
    name = engine.unique()
    engine.docker("tag", image, name)
    yield name
    engine.docker("rmi", name, check=False)


@pytest.fixture(scope="session")
def bad_image(base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Returns a function that builds a small image with a fault; without one it is good."""
    names = []

    def build(fault: str = "", ending: str = "") -> str:
        names.append(engine.unique())
        file = tmp_path_factory.mktemp("bad") / "Dockerfile"
        file.write_text(DOCKERFILE.format(base=base, fault=fault, ending=ending))
        context = str(ROOT / "tests/doctor/program")
        done = engine.docker("build", "-t", names[-1], "-f", str(file), context, check=False)
        assert done.returncode == 0, done.stderr
        return names[-1]

    yield build
    engine.docker("rmi", "--force", *names, check=False)


@pytest.fixture
def examine(tmp_path: Path) -> Callable[..., Examined]:
    """Returns a function that runs `byoc doctor` on an image."""

    def run(image: str, *arguments: str) -> Examined:
        file = tmp_path / "results.json"
        done = subprocess.run(
            command(image, "--json", str(file), *arguments),
            cwd=ROOT,
            env={**os.environ, "DOCKER": engine.client()},
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        assert file.is_file(), done.stderr
        results = {result["id"]: result for result in json.loads(file.read_text())}
        return Examined(done.returncode, done.stdout, done.stderr, results)

    return run
