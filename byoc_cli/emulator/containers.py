"""Containers for jobs and endpoints: what they are to be, and what an engine of them can do, whatever it is made of."""

from __future__ import annotations

import signal
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

INNER_PORT = 8080
# Labels by which an image says what it can do.
BINDS_TO_PORT = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"
HOLDS_MODELS = "com.amazonaws.sagemaker.capabilities.multi-models"
CAPABILITIES = (BINDS_TO_PORT, HOLDS_MODELS)


class EngineError(Exception):
    """A container that cannot be started; the message is a FailureReason."""


@dataclass(frozen=True)
class Plan:
    """What a container is to be.

    Attributes:
        image: as the request names it.
        command: `train` or `serve`, and its arguments; () leaves it to the image.
        ml: the folder that is its ``/opt/ml``.
        log: the file that its output goes to.
        environment: its variables.
        entry_point: in place of the image's own.
        network: the name of a network of ours; "" is the engine's default, ``none`` none.
        host: its name on that network.
        publishes: whether its port is to be reached.
        port: that it listens on.
        options: further options of `docker run`.
    """

    image: str
    command: Sequence[str]
    ml: Path
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    entry_point: Sequence[str] = ()
    network: str = ""
    host: str = ""
    publishes: bool = False
    port: int = INNER_PORT
    options: Sequence[str] = ()


@dataclass(frozen=True)
class Image:
    """An image that is here.

    Attributes:
        name: that the engine knows it by.
        id: ``sha256:…``; "" where there is no engine.
        labels: that it has.
    """

    name: str
    id: str
    labels: Mapping[str, str]


class Container(ABC):
    """A container that was started; its output goes to a file.

    Attributes:
        name: the engine's.
        process: whose end is the container's.
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self.name = name
        self.process = process
        self.port = 0

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    @property
    def url(self) -> str:
        """Where its port is reached."""
        return f"http://127.0.0.1:{self.port}"

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait for its end; return its exit code, None where it did not come in time."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    @abstractmethod
    def send(self, signum: signal.Signals) -> None:
        """Send its PID 1 a signal."""

    @abstractmethod
    def remove(self) -> None:
        """End it at once, and leave nothing of it."""

    def stop(self, seconds: float) -> int:
        """Send SIGTERM, and SIGKILL after some seconds, as the platform does; return its exit code."""
        self.send(signal.SIGTERM)
        code = self.wait(seconds)
        self.remove()
        return -1 if code is None and self.process.returncode is None else int(code or self.process.returncode or 0)


class Engine(ABC):
    """What starts containers, and removes all of them when it is closed, or when this process is gone.

    Args:
        label: tells this emulator's containers from others.
    """

    def __init__(self, label: str) -> None:
        self.label = label

    @abstractmethod
    def resolve(self, image: str) -> str:
        """Return the local name of an image.

        Raises:
            EngineError: it is not here.
        """

    @abstractmethod
    def inspect(self, image: str) -> Image:
        """Return what is known of an image.

        Raises:
            EngineError: it is not here.
        """

    @abstractmethod
    def start(self, plan: Plan) -> Container:
        """Start a container.

        Raises:
            EngineError: that is not possible.
        """

    @abstractmethod
    def make_network(self, *, internal: bool = False) -> str:
        """Make a network, an internal one without a way out; return its name.

        Raises:
            EngineError: that is not possible.
        """

    @abstractmethod
    def mount(self, folder: Path, target: str, *, read_only: bool = False) -> Sequence[str]:
        """Return the options of a plan by which a folder of this machine is at a path of the container's.

        Raises:
            EngineError: that is not possible.
        """

    @property
    def gpus(self) -> Sequence[str]:
        """The options of a plan by which a container has this machine's GPUs, none where there are none."""
        return ()

    @property
    def gateway(self) -> str:
        """The address of this machine that containers reach, "" where they are processes of it."""
        return ""

    @abstractmethod
    def remove_network(self, name: str) -> None:
        """Remove it."""

    @abstractmethod
    def own(self, image: str, folder: Path) -> None:
        """Make what containers wrote into a folder, as root, the property of who runs the emulator."""

    @abstractmethod
    def close(self) -> None:
        """Remove all there is."""


def last_line(log: Path) -> str:
    """Return the last line of a log, "no output" where there is none."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "no output")[:500]


def attached(words: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a program whose output goes to a file, in a session of its own: Ctrl-C is ours alone to hear."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            words,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
