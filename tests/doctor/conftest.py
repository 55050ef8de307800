"""Small images, good and bad: one program, and FAULTS of the environment to say what it does wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests import engine
from tests.program import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

DOCKERFILE = """
FROM {base}
ENV FAULTS="{faults}" PYTHONPATH=/opt/doctored PATH=/opt/doctored:/usr/bin:/bin
# What the base has and this server does not: it knows one port, and one model.
LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=false \
      com.amazonaws.sagemaker.capabilities.multi-models=
COPY {folders} /opt/doctored/
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
    """Returns a function that builds a small image with faults; without any it is good."""
    names = []

    def build(*faults: str, folders: str = "program/", ending: str = "") -> str:
        names.append(engine.unique())
        file = tmp_path_factory.mktemp("bad") / "Dockerfile"
        file.write_text(DOCKERFILE.format(base=base, faults=",".join(faults), folders=folders, ending=ending))
        context = str(ROOT / "tests/doctor")
        done = engine.docker("build", "-t", names[-1], "-f", str(file), context, check=False)
        assert done.returncode == 0, done.stderr
        return names[-1]

    yield build
    engine.docker("rmi", "--force", *names, check=False)


@pytest.fixture
def catches(bad_image: Callable[..., str], examine: Callable[..., Examined]) -> Callable[..., None]:
    """Returns a function that builds one image with all the faults of a table and asserts that each is seen.

    Keywords are the image's. The table has, by fault, the number of the check that must see it and a pattern of the words by which it does.
    Only faults that do not hide one another belong into one table.
    """

    def run(faults: Mapping[str, tuple[int, str]], *arguments: str, **image: str) -> None:
        numbers = ",".join(str(number) for number, _ in faults.values())
        examined = examine(bad_image(*faults, **image), "--only", numbers, *arguments)
        for fault, (number, seen) in faults.items():
            result = examined.results[number]
            assert result["status"] == "failed", f"{fault}: {result}"
            assert re.search(seen, result["seen"]), f"{fault}: {result['seen']}"
            assert result["advice"]
        # Failed obligations end the run with 1, failed recommendations with 0.
        assert examined.code == any(examined.results[number]["level"] == "M" for number, _ in faults.values())

    return run


@pytest.fixture
def examine(tmp_path: Path) -> Callable[..., Examined]:
    """Returns a function that runs `byoc doctor` on an image."""
    return partial(examined, tmp_path / "results.json")


@pytest.fixture(scope="session")
def whole(base: str, tmp_path_factory: pytest.TempPathFactory) -> Examined:
    """Every check on our image, once for all tests that ask for it."""
    folder = tmp_path_factory.mktemp("whole")
    return examined(folder / "results.json", base, "--junit", str(folder / "junit.xml"), timeout=900)


def examined(file: Path, image: str, *arguments: str, timeout: float = 280) -> Examined:
    done = subprocess.run(
        command(image, "--json", str(file), *arguments),
        cwd=ROOT,
        env={**os.environ, "DOCKER": engine.client()},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    assert file.is_file(), done.stderr
    results = {result["id"]: result for result in json.loads(file.read_text())}
    return Examined(done.returncode, done.stdout, done.stderr, results)
