"""One container of an endpoint or a transform: started, healthy, asked, stopped as the platform does."""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from byoc_cli.emulator.containers import BINDS_TO_PORT, HOLDS_MODELS, INNER_PORT, EngineError, Plan, last_line
from byoc_cli.emulator.hosting import limits, model_data
from byoc_cli.emulator.hosting.calls import Call, CallError, call
from byoc_cli.emulator.hosting.multi_model import Shelf
from byoc_cli.emulator.storage import StorageError
from byoc_cli.emulator.training.config import is_gpu

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from byoc_cli.emulator.containers import Container, Image
    from byoc_cli.emulator.emulator import Emulator

PING_SECONDS = 2
POLL_SECONDS = 0.2
# The platform's notice before SIGKILL.
NOTICE = 30
# The first port where several containers share a host, and the range in which they may open more.
FIRST_PORT = 9001
PORT_RANGE = "21000-21999"
NOBODY = "12345:12345"
FOLDERS = "hosting"


class StartError(Exception):
    """A container that did not come up; the message is a FailureReason."""


@dataclass(frozen=True)
class Profile:
    """What a container is started for.

    Attributes:
        group: of its log: ``Endpoints/name``.
        stream: of its log: ``AllTraffic/i-0123``.
        owner: completes "The primary container ..." of a FailureReason: ``for production variant AllTraffic``.
        environment: variables beside those of the model.
        seconds: within which it is healthy.
        memory: of it in MB; None is this machine's.
        instance_type: ``ml.g5.xlarge``: one with a GPU has this machine's.
        is_serverless: whether its root is read-only and its user is not root.
    """

    group: str
    stream: str
    owner: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    seconds: float = limits.STARTUP_SECONDS
    memory: int | None = None
    instance_type: str = ""
    is_serverless: bool = False


class HostedContainer:
    """A container that serves; `start` and then `wait` before the first call.

    Args:
        emulator: whose engine runs it.
        definition: of CreateModel.
        place: its number in the model's chain, from 0; None where it is the only one.
        profile: what it is started for.

    Attributes:
        name: as errors call it.
        image: what it runs, once it is started.
    """

    def __init__(self, emulator: Emulator, definition: Mapping[str, Any], place: int | None, profile: Profile) -> None:
        numbered = "primary" if place is None else f"container-{place + 1}"
        self.name = str(definition.get("ContainerHostname") or numbered)
        self.image: Image | None = None
        self._emulator = emulator
        self._definition = definition
        self._place = place
        self._profile = profile
        stream = profile.stream if place is None else f"{profile.stream}/{self.name}"
        self.log: Path = emulator.log_file(profile.group, stream)
        self._ml = emulator.work_folder(FOLDERS, self.name)
        self._container: Container | None = None
        self._shelf: Shelf | None = None

    @property
    def url(self) -> str:
        """Where it listens, ``http://127.0.0.1:…``."""
        assert self._container is not None
        return self._container.url

    @property
    def specified_image(self) -> str:
        """The image as CreateModel names it."""
        return str(self._definition["Image"])

    @property
    def runs(self) -> bool:
        """Whether it has started and not ended."""
        return self._container is not None and self._container.runs

    def start(self) -> None:
        """Fetch its model and start it.

        Raises:
            StartError: that is not possible.
        """
        if self._emulator.closing.is_set():
            raise StartError("the emulator is stopping")
        try:
            self.image = self._checked_image()
            model_data.lay_out(self._emulator.storage, self._definition, self._ml)
            self._container = self._emulator.engine.start(self._plan())
        except click.ClickException as error:
            raise StartError(error.message) from error
        except (EngineError, StorageError) as error:
            raise StartError(str(error)) from error
        if self._is_multi:
            self._shelf = Shelf(self._emulator.storage, self._definition, self._ml / "models", self.url, self.name)

    def wait(self) -> None:
        """Return when /ping is answered 200.

        Raises:
            StartError: it ended, or the time is over.
        """
        end = time.monotonic() + self._profile.seconds
        while not self.is_healthy():
            if not self.runs or time.monotonic() > end or self._emulator.closing.is_set():
                raise StartError(self._unhealthy())
            time.sleep(POLL_SECONDS)

    def is_healthy(self) -> bool:
        """Whether /ping is answered 200 within two seconds."""
        try:
            return call(self.url, "GET", "/ping", seconds=PING_SECONDS).status == 200  # noqa: PLR2004
        except CallError:
            return False

    @contextmanager
    def asked(
        self, body: bytes | Iterable[bytes], headers: Mapping[str, str], seconds: float, target: str = ""
    ) -> Iterator[Call]:
        """Send a request for a prediction; lend its answer, whatever its status.

        Args:
            body: of the request.
            headers: of the request.
            seconds: that all of it may take.
            target: where many models are, the one that is meant.

        Raises:
            CallError: there is no answer.
            ApiError: the model that is meant cannot be loaded.
        """
        if self._shelf is None:
            with Call(self.url, "POST", "/invocations", body, headers, seconds) as made:
                yield made
            return
        if not isinstance(body, bytes):
            body = b"".join(body)
        with self._shelf.asked(target, body, headers, seconds) as made:
            yield made

    def stop(self) -> None:
        """Stop it as the platform does, SIGTERM and 30 seconds later SIGKILL, and remove its files."""
        if self._container is not None:
            self._container.stop(NOTICE)
        if self.image is not None:
            self._emulator.engine.own(self.image.name, self._ml)
        shutil.rmtree(self._ml, ignore_errors=True)

    @property
    def _is_multi(self) -> bool:
        return self._definition.get("Mode") == "MultiModel"

    def _checked_image(self) -> Image:
        """Return the image, which says by its labels that it can do what is asked of it.

        Raises:
            StartError: it does not.
            EngineError: it is not here.
        """
        image = self._emulator.engine.inspect(self._definition["Image"])
        needed = [HOLDS_MODELS] * self._is_multi + [BINDS_TO_PORT] * (self._place is not None)
        missing = [label for label in needed if image.labels.get(label) != "true"]
        if missing:
            labels = ", ".join(f"{label}=true" for label in missing)
            raise StartError(
                f"Your Ecr Image {self._definition['Image']} does not contain required {labels} Docker label(s)."
            )
        return image

    def _plan(self) -> Plan:
        return Plan(
            image=self._definition["Image"],
            command=["serve"],
            ml=self._ml,
            log=self.log,
            environment=self._environment(),
            publishes=True,
            port=INNER_PORT if self._place is None else FIRST_PORT + self._place,
            options=self._options(),
        )

    def _environment(self) -> dict[str, str]:
        region = self._emulator.region
        own = {"AWS_REGION": region, "AWS_DEFAULT_REGION": region, **self._emulator.inside_environment}
        if not is_gpu(self._profile.instance_type):
            own["NVIDIA_VISIBLE_DEVICES"] = "void"
        if self._is_multi:
            own["SAGEMAKER_MULTI_MODEL"] = "true"
        if self._place is not None:
            own |= {"SAGEMAKER_BIND_TO_PORT": str(FIRST_PORT + self._place), "SAGEMAKER_SAFE_PORT_RANGE": PORT_RANGE}
        return {**own, **self._definition.get("Environment", {}), **self._profile.environment}

    def _options(self) -> list[str]:
        """Return options of `docker run`: model data cannot be written, serverless nothing but /tmp can."""
        options = [*self._emulator.engine.gpus] if is_gpu(self._profile.instance_type) else []
        for name in ("model", "models", "additional-model-data-sources"):
            if (self._ml / name).is_dir():
                options += self._emulator.engine.mount(self._ml / name, f"/opt/ml/{name}", read_only=True)
        if self._profile.memory is not None:
            size = str(self._profile.memory * limits.MEBIBYTE)
            options += ["--memory", size, "--memory-swap", size]
        if self._profile.is_serverless:
            options += ["--read-only", "--tmpfs", "/tmp", "--user", NOBODY, "--ipc", "none"]  # noqa: S108
            options += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        return options

    def _unhealthy(self) -> str:
        owner = f" {self._profile.owner}" if self._profile.owner else ""
        how = "it is still running" if self.runs else f"it ended with exit code {self._exit_code()}"
        return (
            f"The {self.name} container{owner} did not pass the ping health check. Please check CloudWatch logs for "
            f"this endpoint: byoc emulator logs {self._profile.group}. Here {how}; its last line: {last_line(self.log)}"
        )

    def _exit_code(self) -> int | None:
        return self._container.wait(0) if self._container is not None else None
