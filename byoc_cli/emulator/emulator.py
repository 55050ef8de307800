"""The emulator itself: its state folder, its tables, its engine, and the rooms that do the operations."""

from __future__ import annotations

import logging
import threading
import uuid
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from byoc_cli.emulator.api import Api
from byoc_cli.emulator.logs import Logs
from byoc_cli.emulator.storage import Storage
from byoc_cli.emulator.store import Table
from byoc_cli.emulator.tags import Tags

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from byoc_cli.emulator.api import Operation
    from byoc_cli.emulator.containers import Engine

log = logging.getLogger(__name__)

# moto's account.
ACCOUNT = "123456789012"
LOGS = "logs"


class Room:
    """What does the operations of one kind of thing: a base for those in `training/`, `hosting/`, `transform/`.

    Attributes:
        operations: functions by AWS's names of them.
        done: of an operation, the parameters that are emulated.
        not_emulated: of an operation, the parameters that are taken and do nothing here, with the reason.
    """

    done: ClassVar[Mapping[str, frozenset[str]]] = {}
    not_emulated: ClassVar[Mapping[str, Mapping[str, str]]] = {}

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Return the operations."""
        raise NotImplementedError

    def resume(self) -> None:
        """Go on with what an earlier emulator has left: S3 holds its objects again."""

    @property
    def controls(self) -> Mapping[str, Operation]:
        """Return operations that SageMaker does not have, by which the emulator itself is told something."""
        return {}

    def close(self) -> None:
        """End what runs: the emulator stops."""


class Emulator:
    """All of it but the HTTP server.

    Args:
        folder: the state folder.
        address: where the emulator listens, ``http://127.0.0.1:4570``.
        inside: where containers reach its S3.
        region: of all that it emulates.
        engine: runs containers.
        rooms: classes of `Room`.
    """

    def __init__(
        self,
        folder: Path,
        address: str,
        inside: str,
        region: str,
        engine: Engine,
        rooms: Sequence[Callable[[Emulator], Room]],
    ) -> None:
        self.folder = folder
        self.address = address
        self.inside = inside
        self.region = region
        self.engine = engine
        self.closing = threading.Event()
        self.tags = Tags(folder / "tags")
        self.rooms = [make(self) for make in rooms]

    @cached_property
    def api(self) -> Api:
        """The control API."""
        operations: dict[str, Operation] = dict(self.tags.operations)
        controls: dict[str, Operation] = {}
        done: dict[str, frozenset[str]] = {}
        not_emulated: dict[str, Mapping[str, str]] = {}
        for room in self.rooms:
            operations |= room.operations
            controls |= room.controls
            done |= room.done
            not_emulated |= room.not_emulated
        return Api(operations, not_emulated, done, controls)

    @cached_property
    def logs(self) -> Logs:
        """The logs, as CloudWatch Logs answers for them."""
        return Logs(self.folder / LOGS, self.region, ACCOUNT)

    @cached_property
    def storage(self) -> Storage:
        """The emulator's own S3, as a client."""
        return Storage(self.address, self.region)

    @property
    def inside_environment(self) -> dict[str, str]:
        """The variables by which a container reaches S3: the SDK's local mode has the second name of its address."""
        return {
            "AWS_ENDPOINT_URL_S3": self.inside,
            "S3_ENDPOINT_URL": self.inside,
            "AWS_ENDPOINT_URL_STS": self.inside,
            "AWS_ACCESS_KEY_ID": "emulator",
            "AWS_SECRET_ACCESS_KEY": "emulator",
        }

    def arn(self, kind: str, name: str) -> str:
        """Return an ARN of SageMaker's: ``arn("training-job", "x")``."""
        return f"arn:aws:sagemaker:{self.region}:{ACCOUNT}:{kind}/{name.lower()}"

    def table(self, kind: str, what: str) -> Table:
        """Return the records of one kind: ``table("training-job", "training job")``."""
        return Table(self.folder / f"{kind}s", what, lambda name: self.arn(kind, name))

    def work_folder(self, kind: str, name: str) -> Path:
        """Return a new folder for a job's or a container's files."""
        folder = self.folder / "work" / f"{kind}-{name}-{uuid.uuid4().hex[:8]}"
        folder.mkdir(parents=True)
        return folder

    def log_file(self, group: str, stream: str) -> Path:
        """Return the file of a log stream: group ``TrainingJobs`` or ``Endpoints/name``, as CloudWatch names them."""
        return self.logs.file(group, stream)

    def background(self, function: Callable[[], None], name: str) -> threading.Thread:
        """Run a function in a thread of its own; what it raises is logged."""

        def run() -> None:
            try:
                function()
            except Exception:
                log.exception("%s failed", name)

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        """End everything that runs."""
        self.closing.set()
        for room in self.rooms:
            room.close()
        self.engine.close()
