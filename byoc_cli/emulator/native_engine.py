"""Without a Docker engine: the program of this repository, as processes of this machine, stands for every image."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from byoc_cli.emulator.containers import (
    CAPABILITIES,
    Container,
    Engine,
    EngineError,
    Image,
    Plan,
    attached,
)
from byoc_cli.emulator.reaper import Reaper, kill
from byoc_cli.repository import repository_root

if TYPE_CHECKING:
    import signal
    from collections.abc import Sequence


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
        process = attached(words, plan.log, environment)
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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
