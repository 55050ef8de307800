"""Driverless AI: what H2O.ai's own package says of a pipeline without a licence, or with one that is none.

To install the package is to accept its licence, an evaluation agreement, and its image takes ten minutes: Debian 12 as
the base, whose Python it comes for, and 1.1 GB. So these tests run where DAIMOJO_AGREED=1 says so.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests import engine
from tests.program import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        not os.environ.get("DAIMOJO_AGREED"), reason="DAIMOJO_AGREED=1 accepts the licence of the package daimojo"
    ),
]

# The least that the package takes for a pipeline, made by its own classes.
PIPELINE = """
import sys, zipfile
from daimojo import Pipeline_pb2
with zipfile.ZipFile(sys.argv[1], "w") as archive:
    archive.writestr("mojo/pipeline.pb", Pipeline_pb2.Pipeline().SerializeToString())
"""
BYOC = [sys.executable, "-c", "from byoc_cli.main import main; main()"]


@pytest.fixture(scope="module")
def dai_image() -> Iterator[str]:
    engine.require()
    name = engine.unique()
    options = ["--extra", "daimojo", "--base-image", "debian:bookworm-slim", "--no-use-shell"]
    command = [*BYOC, "docker", "build", "-i", name, *options]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1700)
    assert built.returncode == 0, built.stdout + built.stderr
    yield name
    engine.docker("rmi", "--force", name)


@pytest.fixture
def folder(dai_image: str, tmp_path: Path) -> Path:
    """A model folder with a pipeline."""
    mount = ("-v", f"{tmp_path}:/out")
    made = engine.run(dai_image, "python3", "-c", PIPELINE, "/out/pipeline.mojo", options=mount)
    engine.give_back(dai_image, tmp_path)
    assert made.returncode == 0, made.stderr
    return tmp_path


@pytest.mark.parametrize(
    ("variables", "beside", "told"),
    [
        ({}, "", "needs your licence: set DRIVERLESS_AI_LICENSE_KEY to the key"),
        ({"DRIVERLESS_AI_LICENSE_KEY": "Ym9ndXM="}, "", "does not accept the licence in DRIVERLESS_AI_LICENSE_KEY"),
        ({"DRIVERLESS_AI_LICENSE_FILE": "/nope"}, "", "DRIVERLESS_AI_LICENSE_FILE=/nope names no file"),
        ({}, "bogus", "does not accept the licence in /opt/ml/model/license.sig: Driverless AI license error!"),
    ],
)
def test_no_licence_no_start(dai_image: str, folder: Path, variables: dict[str, str], beside: str, told: str) -> None:
    if beside:
        (folder / "license.sig").write_text(beside)
    options = [word for item in variables.items() for word in ("-e", "=".join(item))]
    result = engine.run(dai_image, "serve", options=["-v", f"{folder}:/opt/ml/model:ro", *options])
    assert result.returncode == 1, result.stdout + result.stderr
    last = (result.stdout + result.stderr).strip().splitlines()[-1]
    assert told in last
    assert "Traceback" not in result.stdout + result.stderr


def test_what_is_no_pipeline(dai_image: str, folder: Path) -> None:
    (folder / "pipeline.mojo").write_text("none")
    options = ("-v", f"{folder}:/opt/ml/model:ro", "-e", "DRIVERLESS_AI_LICENSE_KEY=Ym9ndXM=")
    result = engine.run(dai_image, "serve", options=options)
    assert "cannot be read by daimojo (Unable to create a mojo model)" in result.stdout + result.stderr


def test_another_python_than_its_own() -> None:
    """The build fails where the base's Python is another, in words of ours."""
    engine.require()
    built = engine.build(engine.unique(), arguments={"EXTRAS": "daimojo"})
    assert built.returncode != 0
    assert "the extra daimojo needs Python 3.11, and the base has Python 3.13" in built.stdout + built.stderr
