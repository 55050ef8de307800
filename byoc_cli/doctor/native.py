"""Without a Docker engine: the image's programs as processes of this machine, SAGEMAKER_BASE_DIR for /opt/ml.

What only a container can show ends its check as "not offered".
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NoReturn

import click

from byoc_cli.doctor.check import Failed, not_offered
from byoc_cli.doctor.engine import Container, Engine, Process, last_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ML = PurePosixPath("/opt/ml")
PORT = 8080
BIND = "SAGEMAKER_BIND_TO_PORT"
BASE = "SAGEMAKER_BASE_DIR"


def needs_docker(what: str) -> NoReturn:
    """End the check."""
    not_offered(f"needs a Docker engine: {what}")


class NativeEngine(Engine):
    """A folder of programs, `train` and `serve`, run by the Python that runs the doctor.

    Args:
        program: the folder.
    """

    def __init__(self, program: Path) -> None:
        super().__init__(str(program))
        self.program = program.resolve()
        self.started: list[NativeContainer] = []

    def require(self) -> None:
        """Make sure that the programs are there."""
        for name in ("train", "serve"):
            if not (self.program / name).is_file():
                raise click.ClickException(f"{self.program} has no program `{name}`; name another folder by --native")

    def run(self, command: Sequence[str], options: Sequence[str]) -> Container:
        """Start a process and call it a container."""
        given = parsed(options)
        if not command or not (self.program / command[0]).is_file():
            needs_docker(f"to run `{' '.join(command)[:40]}`")
        home = Path(tempfile.mkdtemp(dir=self.folder))
        environment = {
            "PATH": f"{self.program}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.program),
            "PYTHONUNBUFFERED": "1",
            "LANG": "C.UTF-8",
            "HOME": str(home),
            # Short, because it holds sockets: their paths may have a hundred characters only.
            "TMPDIR": str(self.folder),
            BASE: str(mounted(home / "ml", given["--volume"])),
            **dict(value.split("=", 1) for value in given["--env"]),
        }
        environment.setdefault(BIND, str(free_port() if given["--publish"] else PORT))
        program = str(self.program / command[0])
        container = NativeContainer(self, home, [sys.executable, program, *command[1:]], environment)
        self.started.append(container)
        return container

    def remove_all(self) -> None:
        """End all processes."""
        for container in self.started:
            container.remove()

    def own(self, folder: Path) -> None:
        """Do nothing: the processes are of the same user."""

    def inspect(self) -> dict[str, Any]:
        """End the check: programs have neither labels nor an entry point."""
        needs_docker("to look at the image's settings")

    def network(self) -> NoReturn:
        """End the check."""
        needs_docker("a network")

    def docker(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """End the check."""
        del timeout
        needs_docker(f"docker {' '.join(arguments)[:40]}")


class NativeContainer(Container):
    """A process, and all that it started: what is in its session, or descends from it.

    Args:
        engine: the engine.
        home: a folder of its own, for temporary files and logs.
        command: the program and its arguments.
        environment: all its variables.
    """

    def __init__(self, engine: Engine, home: Path, command: Sequence[str], environment: Mapping[str, str]) -> None:
        super().__init__(engine, home.name)
        self.environment = environment
        self.is_removed = False
        self.logs = home / "stdout.log", home / "stderr.log"
        with self.logs[0].open("wb") as out, self.logs[1].open("wb") as err:
            self.root = subprocess.Popen(
                command, cwd=Path(command[1]).parent, env=environment, stdout=out, stderr=err, start_new_session=True
            )

    def remove(self) -> None:
        """End all its processes."""
        if not self.is_removed:
            for process in self._family():
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            self.root.wait()
            self.is_removed = True

    def state(self) -> dict[str, Any]:
        """Return whether the process runs, and its exit code as Docker gives it."""
        code = self.root.poll()
        if code is None:
            return {"Running": True, "ExitCode": 0, "OOMKilled": False}
        # A container's other processes end with its first one.
        self.remove()
        return {"Running": False, "ExitCode": code if code >= 0 else 128 - code, "OOMKilled": False}

    def log(self) -> str:
        """Return all it has written."""
        return "".join(file.read_text(errors="replace") for file in self.logs)

    def stamped_lines(self) -> list[tuple[float, str]]:
        """End the check."""
        needs_docker("the times of the log's lines")

    def wait(self, seconds: float) -> int | None:
        """Wait for its end."""
        try:
            self.root.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        return int(self.state()["ExitCode"])

    def kill(self, name: str, *pids: int) -> None:
        """Send processes a signal."""
        for pid in pids or (self.root.pid,):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.Signals[f"SIG{name}"])

    def shell(self, script: str) -> str:
        """End the check: a shell would see this machine and not a container."""
        needs_docker(f"a shell inside: {script[:40]}")

    def processes(self) -> list[Process]:
        """Return its processes; the first one is called 1, and so is the parent of those that lost theirs."""
        family = self._family()
        pids = {process.pid for process in family} - {self.root.pid}
        for process in family:
            process.parent = process.parent if process.parent in pids else 1
            process.pid = 1 if process.pid == self.root.pid else process.pid
        return family

    def _family(self) -> list[Process]:
        found = all_processes()
        family = {self.root.pid}
        for process in sorted(found, key=lambda process: process.pid):
            if process.session == self.root.pid or process.parent in family:
                family.add(process.pid)
        return [process for process in found if process.pid in family]

    def port(self, port: int) -> int:
        """Return the port that it was given."""
        if self.root.poll() is not None:
            raise Failed(f"the process has ended; its last line: {last_line(self.log())}")
        given = int(self.environment[BIND])
        return given if port in {PORT, given} else needs_docker(f"to publish port {port}")


def parsed(options: Sequence[str]) -> dict[str, list[str]]:
    """Return the values of `--env`, `--volume` and `--publish`; any other option of Docker's ends the check."""
    found: dict[str, list[str]] = defaultdict(list)
    words = iter(options)
    for word in words:
        name, equals, value = word.partition("=")
        if name not in {"--env", "--volume", "--publish"}:
            needs_docker(word)
        found[name].append(value if equals else next(words))
    return found


def mounted(base: Path, volumes: Sequence[str]) -> Path:
    """Return the folder that stands for /opt/ml; what is mounted below it is linked there."""
    for volume in volumes:
        source, target, *_mode = volume.split(":")
        place = PurePosixPath(target)
        if place == ML:
            base = Path(source)
            continue
        if not place.is_relative_to(ML):
            needs_docker(f"--volume to {target}")
        link = base / place.relative_to(ML)
        if link.exists():
            needs_docker(f"to mount over {target}")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(source)
    base.mkdir(exist_ok=True)
    return base


def free_port() -> int:
    """Return a port of this machine that nobody has."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def all_processes() -> list[Process]:
    """Return every process of this machine."""
    if not Path("/proc/self/stat").exists():
        needs_docker("to look at processes (this system has no /proc)")
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        # It may end while it is looked at.
        with suppress(OSError):
            arguments = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found.append(Process(f"{(folder / 'stat').read_text(errors='replace').strip()} | {arguments}"))
    return found
