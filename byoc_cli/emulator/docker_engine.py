"""Containers of a Docker engine."""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from functools import cached_property
from typing import TYPE_CHECKING

from byoc_cli.commands import output_of
from byoc_cli.emulator.containers import (
    Container,
    Engine,
    EngineError,
    Image,
    Plan,
    attached,
    last_line,
)
from byoc_cli.emulator.reaper import Reaper

if TYPE_CHECKING:
    import signal
    import subprocess
    from collections.abc import Sequence
    from pathlib import Path

REGISTRY = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.[a-z.]+/|[\w.-]+:\d+/")
STARTED_SECONDS = 20


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
            words += [
                "--hostname",
                plan.host,
                *(["--network-alias", plan.host] if plan.network not in ("", "none") else []),
            ]
        if plan.publishes:
            words += ["--publish", f"127.0.0.1::{plan.port}"]
        if plan.entry_point:
            words += ["--entrypoint", plan.entry_point[0]]
        words += [*plan.options, self.resolve(plan.image), *plan.entry_point[1:], *plan.command]
        container = DockerContainer(self._client, name, attached(words, plan.log))
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
