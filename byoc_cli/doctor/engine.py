"""Containers and folders of one run of the doctor; all of them are gone when it ends, whatever ends it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from byoc_cli.doctor.check import Failed

if TYPE_CHECKING:
    from collections.abc import Sequence

# Prints each process as `pid (command) state parent … | arguments`; all it needs is a shell with cat and tr.
LIST_PROCESSES = """for d in /proc/[0-9]*; do
  [ -r $d/stat ] && echo "$(cat $d/stat) | $(tr '\\0\\n' '  ' <$d/cmdline)"
done 2>/dev/null"""


class Engine:
    """A Docker client, and all that was started through it; to be used in a with-block.

    Args:
        client: the program `docker`.
        image: the image under test, which also gives back the files that its containers wrote as root.
    """

    def __init__(self, client: str, image: str) -> None:
        self.client = client
        self.image = image
        self.label = f"byoc.doctor={uuid.uuid4().hex[:12]}"
        self.folder = Path(tempfile.mkdtemp(prefix="byoc-doctor-"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A second Ctrl-C must not end the cleaning.
        interrupting = signal.signal(signal.SIGINT, signal.SIG_IGN)
        # Twice: a container whose start was interrupted may appear a little later.
        for _attempt in range(2):
            started = self.docker("ps", "--all", "--quiet", "--filter", f"label={self.label}").stdout.split()
            if started:
                self.docker("rm", "--force", "--volumes", *started)
        self.own(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        signal.signal(signal.SIGINT, interrupting)

    def docker(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a docker command to its end; what it prints is text, whatever its bytes."""
        return subprocess.run(
            [self.client, *arguments], capture_output=True, text=True, errors="replace", check=False, timeout=timeout
        )

    def inspect(self) -> dict[str, Any]:
        """Return the image's Config: Entrypoint, Cmd, User, Labels, …; empty where there is no such image."""
        done = self.docker("image", "inspect", "--format", "{{json .Config}}", self.image)
        return dict(json.loads(done.stdout)) if done.returncode == 0 else {}

    def start(self, *command: str, options: Sequence[str] = ()) -> Container:
        """Start a container of the image.

        Raises:
            Failed: the engine could not.
        """
        name = f"byoc-doctor-{uuid.uuid4().hex[:12]}"
        done = self.docker("run", "--detach", "--name", name, "--label", self.label, *options, self.image, *command)
        if done.returncode:
            raise Failed(f"the container could not be started: {last_line(done.stderr)}")
        return Container(self, name)

    def own(self, folder: Path) -> None:
        """Make all below the folder the property of who runs the doctor: containers write as root."""
        if os.geteuid() != 0:
            owner = f"{os.geteuid()}:{os.getegid()}"
            options = ("--rm", "--user", "0", "--volume", f"{folder}:/folder", "--entrypoint", "chown")
            self.docker("run", *options, self.image, "-R", owner, "/folder")


class Container:
    """A container, by its name; a with-block removes it."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name
        self.started = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.docker("rm", "--force", "--volumes", self.name)

    def state(self) -> dict[str, Any]:
        """Return what the engine knows of it: Running, ExitCode, OOMKilled."""
        done = self.engine.docker("inspect", "--format", "{{json .State}}", self.name)
        return dict(json.loads(done.stdout)) if done.returncode == 0 else {"Running": False, "ExitCode": -1}

    def log(self) -> str:
        """Return all it has written, standard output first."""
        done = self.engine.docker("logs", self.name)
        return done.stdout + done.stderr

    def wait(self, seconds: float) -> int | None:
        """Wait for its end; return the exit code, or None where it still runs after so many seconds."""
        try:
            done = self.engine.docker("wait", self.name, timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        return int(done.stdout)

    def kill(self, signal: str) -> None:
        """Send PID 1 a signal."""
        self.engine.docker("kill", "--signal", signal, self.name)

    def shell(self, script: str) -> str:
        """Run a script by the shell inside, as root, and return what it printed."""
        return self.engine.docker("exec", "--user", "0", self.name, "sh", "-c", script).stdout

    def processes(self) -> list[Process]:
        """Return PID 1 and all that descends from it, not the processes of this question."""
        found = [Process(line) for line in self.shell(LIST_PROCESSES).splitlines() if " | " in line]
        family = {1}
        for process in sorted(found, key=lambda process: process.pid):
            if process.parent in family:
                family.add(process.pid)
        return [process for process in found if process.pid in family]

    def port(self, port: int) -> int:
        """Return the port of this machine that leads to a port of the container.

        Raises:
            Failed: there is none, because the container has ended.
        """
        words = self.engine.docker("port", self.name, f"{port}/tcp").stdout.split()
        if not words:
            raise Failed(f"the container has ended; its last line: {last_line(self.log())}")
        return int(words[0].rpartition(":")[2])


class Process:
    """A process inside a container, read from a line of LIST_PROCESSES."""

    def __init__(self, line: str) -> None:
        stat, _, self.arguments = line.partition(" | ")
        pid, _, rest = stat.partition(" (")
        self.name, _, fields = rest.rpartition(") ")
        self.pid = int(pid)
        self.state, parent = fields.split()[:2]
        self.parent = int(parent)


def last_line(text: str, limit: int = 200) -> str:
    """Return the last line that says something, cut to so many characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:limit] if lines else "(nothing was written)"
