"""Runs containers for jobs and endpoints: an image of the Docker engine, or without one the program itself."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from byoc_cli.commands import output_of
from byoc_cli.emulator.reaper import Reaper, kill
from byoc_cli.repository import repository_root

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INNER_PORT = 8080
REGISTRY = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.[a-z.]+/|[\w.-]+:\d+/")
STARTED_SECONDS = 20
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


class DockerContainer(Container):
    """A container of Docker's.

    Args:
        client: the program `docker`.
    """

    def __init__(self, client: str, name: str, process: subprocess.Popen[bytes]) -> None:
        super().__init__(name, process)
        self._client = client

    def send(self, signum: signal.Signals) -> None:
        """Send its PID 1 a signal, as soon as there is one: it may just be starting."""
        end = time.monotonic() + STARTED_SECONDS
        while self.runs and time.monotonic() < end:
            if output_of([self._client, "kill", "--signal", signum.name, self.name]) is not None:
                return
            self.wait(0.1)

    def remove(self) -> None:
        """End it at once, and leave nothing of it, even where it is just starting."""
        end = time.monotonic() + STARTED_SECONDS
        while True:
            output_of([self._client, "rm", "--force", "--volumes", self.name])
            if self.wait(1) is not None or time.monotonic() > end:
                return


class DockerEngine(Engine):
    """A Docker engine.

    Args:
        client: the program `docker`.
        label: as above.
    """

    def __init__(self, client: str, label: str) -> None:
        super().__init__(label)
        self._client = client
        self._reaper = Reaper(client, label)

    def resolve(self, image: str) -> str:
        """Return the local name of an image: whole, or without the registry that it would be pulled from."""
        short = REGISTRY.sub("", image, count=1)
        for name in dict.fromkeys((image, short, short.partition("@")[0])):
            if output_of([self._client, "image", "inspect", "--format", "{{.Id}}", name]) is not None:
                return name
        raise EngineError(
            f"there is no image {image}, nor {short}, on this machine, and the emulator pulls none; build it: "
            "byoc docker build, or make image"
        )

    def inspect(self, image: str) -> Image:
        """Return an image's id and labels."""
        name = self.resolve(image)
        told = output_of([self._client, "image", "inspect", "--format", "{{.Id}} {{json .Config.Labels}}", name])
        found, _, labels = (told or "").partition(" ")
        return Image(name, found, json.loads(labels or "null") or {})

    def start(self, plan: Plan) -> Container:
        """Start a container, attached, so that its output comes to us and its end is the process's."""
        name = f"byoc-emulator-{uuid.uuid4().hex[:12]}"
        words = [self._client, "run", "--rm", "--pull", "never", "--name", name, "--label", self.label]
        words += ["--mount", f"type=bind,source={plan.ml},target=/opt/ml"]
        words += [word for key, value in plan.environment.items() for word in ("--env", f"{key}={value}")]
        if plan.network:
            words += ["--network", plan.network]
        if plan.host:
            words += ["--hostname", plan.host, *(["--network-alias", plan.host] if plan.network != "none" else [])]
        if plan.publishes:
            words += ["--publish", f"127.0.0.1::{plan.port}"]
        if plan.entry_point:
            words += ["--entrypoint", plan.entry_point[0]]
        words += [*plan.options, self.resolve(plan.image), *plan.entry_point[1:], *plan.command]
        container = DockerContainer(self._client, name, _attached(words, plan.log))
        if plan.publishes:
            container.port = self._port(container, plan)
        return container

    def make_network(self, *, internal: bool = False) -> str:
        """Make a network; return its name."""
        name = f"byoc-emulator-{uuid.uuid4().hex[:12]}"
        options = ["--label", self.label, *(["--internal"] if internal else [])]
        if output_of([self._client, "network", "create", *options, name]) is None:
            raise EngineError("the Docker engine could not make a network")
        return name

    def mount(self, folder: Path, target: str, *, read_only: bool = False) -> Sequence[str]:
        """Return the options that mount a folder."""
        return ("--mount", f"type=bind,source={folder},target={target}{',readonly' if read_only else ''}")

    @cached_property
    def gpus(self) -> Sequence[str]:
        """All GPUs, where NVIDIA's runtime is installed."""
        runtimes = output_of([self._client, "info", "--format", "{{json .Runtimes}}"]) or ""
        return ("--gpus", "all") if '"nvidia"' in runtimes else ()

    @cached_property
    def gateway(self) -> str:
        """The engine's bridge's own address; where there is none, the name by which Docker Desktop has this machine."""
        options = ["--format", "{{range .IPAM.Config}}{{.Gateway}} {{end}}"]
        found = (output_of([self._client, "network", "inspect", "bridge", *options]) or "").split()
        return found[0] if found else "host.docker.internal"

    def remove_network(self, name: str) -> None:
        """Remove it."""
        output_of([self._client, "network", "rm", name])

    def own(self, image: str, folder: Path) -> None:
        """Give a folder back, by a container that runs as root."""
        if os.geteuid():
            owner = f"{os.geteuid()}:{os.getegid()}"
            words = ["run", "--rm", "--user", "0", "--network", "none", "--label", self.label]
            words += ["--mount", f"type=bind,source={folder},target=/folder", "--entrypoint", "chown"]
            output_of([self._client, *words, self.resolve(image), "-hR", owner, "/folder"])

    def close(self) -> None:
        """Remove all containers and networks."""
        self._reaper.close()

    def _port(self, container: Container, plan: Plan) -> int:
        """Return the port of this machine that the container's is published on, once it is.

        Raises:
            EngineError: it never is.
        """
        end = time.monotonic() + STARTED_SECONDS
        while time.monotonic() < end:
            told = output_of([self._client, "port", container.name, f"{plan.port}/tcp"])
            if told:
                return int(told.splitlines()[0].rpartition(":")[2])
            if not container.runs:
                break
            time.sleep(0.05)
        container.remove()
        raise EngineError(f"the container could not be started: {last_line(plan.log)}")


class NativeContainer(Container):
    """A process, with all that it started."""

    def send(self, signum: signal.Signals) -> None:
        """Send the process a signal."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signum)

    def remove(self) -> None:
        """End it, and all that it started."""
        if self.process.poll() is None:
            kill(self.process.pid)
        self.process.wait()


class NativeEngine(Engine):
    """The program of this repository, run by this Python; it stands for every image.

    Args:
        label: as above.
    """

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self._program = repository_root() / "container" / "program"
        self._reaper = Reaper("", label)
        self._started: list[NativeContainer] = []

    def resolve(self, image: str) -> str:
        """Return the name: without an engine, images are names only."""
        return image

    def inspect(self, image: str) -> Image:
        """Return the program's labels; its image has the same."""
        return Image(image, "", dict.fromkeys(CAPABILITIES, "true"))

    def start(self, plan: Plan) -> Container:
        """Start a process; it has its folder by SAGEMAKER_BASE_DIR."""
        if plan.entry_point or not plan.command or plan.command[0] not in ("train", "serve"):
            raise EngineError("without a Docker engine only `train` and `serve` of container/program can be run")
        port = _free_port()
        environment = {
            "PATH": f"{self._program}:{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
            "PYTHONPATH": str(self._program),
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            **plan.environment,
            "SAGEMAKER_BASE_DIR": str(plan.ml),
            "SAGEMAKER_BIND_TO_PORT": str(port),
        }
        words = [sys.executable, str(self._program / plan.command[0]), *plan.command[1:]]
        process = _attached(words, plan.log, environment)
        self._reaper.watch(process.pid)
        container = NativeContainer(f"process {process.pid}", process)
        container.port = port
        self._started.append(container)
        return container

    def make_network(self, *, internal: bool = False) -> str:  # noqa: ARG002 - an Engine's
        """Refuse: processes have no names to find each other by."""
        raise EngineError("several hosts need a Docker engine: without one there is no network between them")

    def mount(self, folder: Path, target: str, *, read_only: bool = False) -> Sequence[str]:  # noqa: ARG002 - the same
        """Refuse a place of its own; what is below ``/opt/ml`` is where it is already."""
        if PurePosixPath(target).is_relative_to("/opt/ml"):
            return ()
        raise EngineError(f"without a Docker engine {target} cannot be had: name a path below /opt/ml")

    def remove_network(self, name: str) -> None:
        """Do nothing."""

    def own(self, image: str, folder: Path) -> None:
        """Do nothing: the processes are of the same user."""

    def close(self) -> None:
        """End all processes."""
        for container in self._started:
            if container.runs:
                container.remove()
        self._reaper.close()


def last_line(log: Path) -> str:
    """Return the last line of a log, "no output" where there is none."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "no output")[:500]


def _attached(words: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def docker_answers(client: str) -> bool:
    """Whether a Docker engine answers the client."""
    return bool(shutil.which(client)) and output_of([client, "version", "--format", "{{.Server.Version}}"]) is not None
