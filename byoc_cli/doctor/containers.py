"""Containers of a Docker engine."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from byoc_cli.doctor.check import Failed
from byoc_cli.doctor.engine import Container, Engine, Process, last_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# Prints a line for each Process; all it needs is a shell with cat and tr.
LIST_PROCESSES = """for d in /proc/[0-9]*; do
  [ -r $d/stat ] && echo "$(cat $d/stat) | $(tr '\\0\\n' '  ' <$d/cmdline)"
done 2>/dev/null"""


class DockerEngine(Engine):
    """A Docker client; the image also gives back the files that its containers wrote as root.

    Args:
        client: the program `docker`.
        image: the image under test.
    """

    def __init__(self, client: str, image: str) -> None:
        super().__init__(image)
        self.client = client
        # A copy: pytest goes on changing this process's own while threads start programs.
        self.environ = dict(os.environ)
        self.label = f"byoc.doctor={uuid.uuid4().hex[:12]}"

    def require(self) -> None:
        """Make sure that the image is there."""
        if not self.inspect():
            raise click.ClickException(f"there is no image {self.image} here; build it, or pull it, and try again")

    def docker(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a docker command to its end; what it prints is text, whatever its bytes."""
        return subprocess.run(
            [self.client, *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
        )

    def inspect(self) -> dict[str, Any]:
        """Return the image's Config; empty where there is no such image."""
        done = self.docker("image", "inspect", "--format", "{{json .Config}}", self.image)
        return dict(json.loads(done.stdout)) if done.returncode == 0 else {}

    def run(self, command: Sequence[str], options: Sequence[str]) -> Container:
        """Start a container."""
        name = f"byoc-doctor-{uuid.uuid4().hex[:12]}"
        done = self.docker("run", "--detach", "--name", name, "--label", self.label, *options, self.image, *command)
        if done.returncode:
            raise Failed(f"the container could not be started: {last_line(done.stderr)}")
        return DockerContainer(self, name)

    def remove_all(self) -> None:
        """Remove containers and networks."""
        started = self.docker("ps", "--all", "--quiet", "--filter", f"label={self.label}").stdout.split()
        if started:
            self.docker("rm", "--force", "--volumes", *started)
        self.docker("network", "prune", "--force", "--filter", f"label={self.label}")

    @contextmanager
    def network(self) -> Iterator[str]:
        """Make a network for the length of a with-block."""
        name = f"byoc-doctor-{uuid.uuid4().hex[:12]}"
        done = self.docker("network", "create", "--label", self.label, name)
        if done.returncode:
            raise Failed(f"the network could not be made: {last_line(done.stderr)}")
        try:
            yield name
        finally:
            self.docker("network", "rm", name)

    def own(self, folder: Path) -> None:
        """Give the folder back: containers write as root."""
        if os.geteuid() != 0:
            owner = f"{os.geteuid()}:{os.getegid()}"
            options = ("--rm", "--user", "0", "--volume", f"{folder}:/folder", "--entrypoint", "chown")
            self.docker("run", *options, self.image, "-R", owner, "/folder")


class DockerContainer(Container):
    """A container of Docker's."""

    def remove(self) -> None:
        """End it, if it still runs, and remove it."""
        self.engine.docker("rm", "--force", "--volumes", self.name)

    def state(self) -> dict[str, Any]:
        """Return what the engine knows of it."""
        done = self.engine.docker("inspect", "--format", "{{json .State}}", self.name)
        return dict(json.loads(done.stdout)) if done.returncode == 0 else {"Running": False, "ExitCode": -1}

    def log(self) -> str:
        """Return all it has written."""
        done = self.engine.docker("logs", self.name)
        return done.stdout + done.stderr

    def stamped_lines(self) -> list[tuple[float, str]]:
        """Return the lines it has written, with their times."""
        done = self.engine.docker("logs", "--timestamps", self.name)
        pairs = [line.partition(" ") for line in (done.stdout + done.stderr).splitlines()]
        return [(datetime.fromisoformat(stamp).timestamp(), text) for stamp, _, text in pairs]

    def wait(self, seconds: float) -> int | None:
        """Wait for its end."""
        try:
            done = self.engine.docker("wait", self.name, timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        if done.returncode:
            raise Failed(f"the engine lost the container: {last_line(done.stderr)}")
        return int(done.stdout)

    def kill(self, name: str, *pids: int) -> None:
        """Send processes a signal."""
        if pids:
            self.shell(f"kill -{name} {' '.join(map(str, pids))}")
        else:
            self.engine.docker("kill", "--signal", name, self.name)

    def shell(self, script: str) -> str:
        """Run a script by the shell inside."""
        return self.engine.docker("exec", "--user", "0", self.name, "sh", "-c", script).stdout

    def processes(self) -> list[Process]:
        """Return PID 1 and all that descends from it."""
        # Of one that ended while it was looked at, only the arguments may be there, or none.
        lines = self.shell(LIST_PROCESSES).splitlines()
        found = [Process(line) for line in lines if line[:1].isdigit() and " | " in line]
        family = {1}
        for process in sorted(found, key=lambda process: process.pid):
            if process.parent in family:
                family.add(process.pid)
        return [process for process in found if process.pid in family]

    def port(self, port: int) -> int:
        """Return the port of this machine."""
        words = self.engine.docker("port", self.name, f"{port}/tcp").stdout.split()
        if not words:
            raise Failed(f"the container ended; its last line: {last_line(self.log())}")
        return int(words[0].rpartition(":")[2])
