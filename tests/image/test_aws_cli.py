"""The commands of the README by AWS's own command line, typed into a shell on an emulator with real containers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import emulator, engine
from tests.program import ROOT
from tests.readme import README

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.emulator import Running

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def running(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    engine.docker("tag", image, "byoc")
    with emulator.emulating(tmp_path_factory.mktemp("aws")) as made:
        yield made


def shell(running: Running, script: str) -> subprocess.CompletedProcess[str]:
    """Run lines in a shell that speaks to the emulator; the first that fails is the last."""
    told = emulator.command("env", state=running.state).stdout
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-e", "-c", f"{told}\n{script}"],
        cwd=ROOT,
        env={**emulator.environ(), "PATH": path, "AWS_CONFIG_FILE": "/dev/null", "AWS_PAGER": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )


def test_the_readmes_commands_work_as_printed(running: Running) -> None:
    done = shell(running, README.block("aws s3 mb"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "versicolor\nsetosa\nvirginica\n" in done.stdout
    assert running.describe("iris")["TrainingJobStatus"] == "Completed"
    running.sagemaker.get_waiter("endpoint_deleted").wait(
        EndpointName="iris", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
