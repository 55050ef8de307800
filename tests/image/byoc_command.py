"""The command `byoc`, run as a user types it, from a folder that is no clone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests import engine
from tests.program import ROOT, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = [sys.executable, "-c", "from byoc_cli.main import main; main()"]


def environ(folder: Path, package: Path = ROOT) -> dict[str, str]:
    """Return the environment: the engine's client, all temporary files below the folder."""
    (folder / "tmp").mkdir(exist_ok=True)
    own = {
        "DOCKER": engine.client(),
        "PYTHONPATH": str(package),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONUNBUFFERED": "1",
    }
    return {**os.environ, **own}


def byoc(folder: Path, *arguments: str, package: Path = ROOT, seconds: float = 280) -> engine.Finished:
    """Run a command to its end."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=folder,
        env=environ(folder, package),
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )


class RunLocal:
    """A `byoc docker run-local` in the background; its output is in a file."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.port = str(free_port())
        self._file = folder / "run-local.log"
        with self._file.open("w") as log:
            command = [*PROGRAM, "docker", "run-local", "--port", self.port, *arguments]
            self.process = subprocess.Popen(command, cwd=folder, env=environ(folder), stdout=log, stderr=log)

    @property
    def output(self) -> str:
        """All that it has printed."""
        return self._file.read_text()

    def wait_ready(self) -> None:
        """Wait until it says that it is ready; fail with its output where it ends first."""
        wait_until(lambda: "Ready after" in self.output or self.process.poll() is not None, 60, "Ready")
        assert self.process.poll() is None, self.output

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send it a signal; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(120)


@contextmanager
def run_local(folder: Path, *arguments: str) -> Iterator[RunLocal]:
    """Serve for the length of a with-block."""
    server = RunLocal(folder, *arguments)
    try:
        yield server
    finally:
        server.stop()


def containers() -> set[str]:
    """Return the names of the containers that run-local started and that are still there."""
    listed = engine.docker("ps", "--all", "--filter", "name=byoc-run-local-", "--format", "{{.Names}}").stdout
    return set(listed.split())
