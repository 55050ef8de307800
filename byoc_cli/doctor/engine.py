"""Where the image runs: what an engine and a container of it can do, whatever they are made of."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from byoc_cli.doctor.check import Failed

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence
    from contextlib import AbstractContextManager


class Engine(ABC):
    """All that was started for one run of the doctor, gone when the with-block ends, whatever ends it.

    Args:
        image: the image under test.
    """

    def __init__(self, image: str) -> None:
        self.image = image
        self.folder = Path(tempfile.mkdtemp(prefix="byoc-doctor-"))
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A second Ctrl-C must not end the cleaning.
        interrupting = signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.close()
        # Twice: a container whose start was interrupted may appear a little later.
        self.remove_all()
        self.own(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        signal.signal(signal.SIGINT, interrupting)

    def close(self) -> None:
        """Remove all there is and start nothing more, so that checks that still run end soon."""
        self._closed.set()
        self.remove_all()

    def start(self, *command: str, options: Sequence[str] = ()) -> Container:
        """Start a container of the image; the options are those of `docker run`.

        Raises:
            Failed: the engine could not.
        """
        if self._closed.is_set():
            raise Failed("the doctor is about to end")
        container = self.run(command, options)
        if self._closed.is_set():
            # It came up while all was being removed.
            container.remove()
            raise Failed("the doctor is about to end")
        return container

    @abstractmethod
    def require(self) -> None:
        """Make sure that the image is there.

        Raises:
            click.ClickException: it isn't.
        """

    @abstractmethod
    def run(self, command: Sequence[str], options: Sequence[str]) -> Container:
        """Start a container."""

    @abstractmethod
    def remove_all(self) -> None:
        """Remove all that was started, except for the folder."""

    @abstractmethod
    def inspect(self) -> dict[str, Any]:
        """Return the image's Config, as `docker inspect` shows it: Entrypoint, Cmd, User, Labels."""

    @abstractmethod
    def network(self) -> AbstractContextManager[str]:
        """Make a network for the length of a with-block and give its name; containers on it find each other by theirs.

        Raises:
            Failed: the engine could not.
        """

    @abstractmethod
    def own(self, folder: Path) -> None:
        """Make all below the folder the property of who runs the doctor."""

    @abstractmethod
    def docker(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a docker command to its end."""


class Container(ABC):
    """A container, by its name; a with-block removes it."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name
        self.started = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @abstractmethod
    def remove(self) -> None:
        """End it, if it still runs, and remove it."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return what the engine knows of it: Running, ExitCode, OOMKilled."""

    @abstractmethod
    def log(self) -> str:
        """Return all it has written, standard output first."""

    @abstractmethod
    def stamped_lines(self) -> list[tuple[float, str]]:
        """Return the lines it has written, each with the time, in seconds, at which it came out."""

    def wait_for_log(self, text: str, seconds: float) -> bool:
        """Wait until the log holds a text; return whether it does."""
        end = time.monotonic() + seconds
        while text not in self.log():
            if time.monotonic() > end:
                return False
            time.sleep(0.2)
        return True

    @abstractmethod
    def wait(self, seconds: float) -> int | None:
        """Wait for its end; return the exit code, or None where it still runs after so many seconds."""

    @abstractmethod
    def kill(self, name: str, *pids: int) -> None:
        """Send processes a signal, TERM, KILL, …; PID 1 where none is named."""

    @abstractmethod
    def shell(self, script: str) -> str:
        """Run a script by the shell inside, as root, and return what it printed."""

    @abstractmethod
    def processes(self) -> list[Process]:
        """Return PID 1 and all that descends from it, not the processes of this question."""

    @abstractmethod
    def port(self, port: int) -> int:
        """Return the port of this machine that leads to a port of the container.

        Raises:
            Failed: there is none, because the container has ended.
        """


class Process:
    """A process inside a container, read from a line `pid (command) state parent … | arguments`."""

    def __init__(self, line: str) -> None:
        stat, _, self.arguments = line.partition(" | ")
        pid, _, rest = stat.partition(" (")
        self.name, _, fields = rest.rpartition(") ")
        self.pid = int(pid)
        self.state, parent, _group, session = fields.split()[:4]
        self.parent = int(parent)
        self.session = int(session)


def last_line(text: str, limit: int = 200) -> str:
    """Return the last line that says something, cut to so many characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:limit] if lines else "(nothing was written)"
