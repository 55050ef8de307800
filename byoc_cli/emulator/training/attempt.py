"""One run of a job on all its hosts: prepared, started, looked after, ended. A spot job may need several."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from byoc_cli.emulator.containers import Plan
from byoc_cli.emulator.training import config, outcome
from byoc_cli.emulator.training.checkpoints import DEFAULT_PATH, Checkpoints
from byoc_cli.emulator.training.pipes import Feeder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from byoc_cli.emulator.containers import Container
    from byoc_cli.emulator.emulator import Emulator
    from byoc_cli.emulator.training.channels import Channel
    from byoc_cli.emulator.training.hosts import Host

ML = PurePosixPath("/opt/ml")
POLL_SECONDS = 0.1


@dataclass
class Machine:
    """A host with its ``/opt/ml``, its log and, once it runs, its container."""

    host: Host
    ml: Path
    log: Path
    checkpoints: Path
    feeders: list[Feeder] = field(default_factory=list)
    container: Container | None = None

    @property
    def code(self) -> int | None:
        """The exit code, as a shell would tell it; None while it runs."""
        code = self.container.wait(0) if self.container else None
        return code if code is None or code >= 0 else 128 - code


class Attempt:
    """A run.

    Args:
        emulator: has the engine and the storage.
        job: the job's record.
        channels: of it.
        hosts: of it.
        folder: for the hosts' files.
    """

    def __init__(
        self,
        emulator: Emulator,
        job: Mapping[str, Any],
        channels: Sequence[Channel],
        hosts: Sequence[Host],
        folder: Path,
    ) -> None:
        self._emulator = emulator
        self._job = job
        self._channels = channels
        self._hosts = hosts
        self._folder = folder
        self._network = ""
        self._ended = False
        self._failed: tuple[Machine, int] | None = None
        self._checkpoints: Checkpoints | None = None
        stamp = int(time.time() * 1000)
        self.machines = [self._machine(host, stamp) for host in hosts]

    @property
    def logs(self) -> list[Path]:
        """The hosts' logs."""
        return [machine.log for machine in self.machines]

    @property
    def runs(self) -> bool:
        """Whether there is something to wait for: all hosts do, or none has failed."""
        codes = [machine.code for machine in self.machines]
        return None in codes and not any(codes)

    @property
    def failure(self) -> str:
        """The FailureReason of the host that failed by itself, "" where none did."""
        if self._failed is None:
            return ""
        machine, code = self._failed
        return outcome.reason(machine.ml, machine.log, code, " ".join(self._command) or "train")

    @property
    def _command(self) -> tuple[str, ...]:
        """The words that take the place of `train`, as AWS lets them: none of it is left where there is an entry."""
        algorithm = self._job["AlgorithmSpecification"]
        default = () if algorithm.get("ContainerEntrypoint") else ("train",)
        return tuple(algorithm.get("ContainerArguments") or default)

    def prepare(self) -> None:
        """Make each host's files.

        Raises:
            StorageError: data cannot be had.
        """
        for machine in self.machines:
            config.write(machine.ml, self._job, self._channels, self._hosts, machine.host)
        for channel in self._channels:
            objects = channel.listed(self._emulator.storage)
            for machine in self.machines:
                if channel.goes_to(machine.host):
                    self._give(machine, channel, channel.share(objects, self._hosts, machine.host))
        if "CheckpointConfig" in self._job:
            folders = [machine.checkpoints for machine in self.machines]
            self._checkpoints = Checkpoints(self._emulator.storage, self._job["CheckpointConfig"], folders)
            self._checkpoints.restore()

    def start(self) -> None:
        """Start the containers.

        Raises:
            EngineError: that is not possible.
        """
        isolated = bool(self._job.get("EnableNetworkIsolation"))
        if len(self.machines) > 1:
            self._network = self._emulator.engine.make_network(internal=isolated)
        for machine in self.machines:
            network = self._network or ("none" if isolated else "")
            machine.container = self._emulator.engine.start(self._plan(machine, network))
            for feeder in machine.feeders:
                feeder.start()

    def look(self) -> None:
        """Raise what went wrong while a pipe was fed."""
        for error in (feeder.error for machine in self.machines for feeder in machine.feeders if feeder.error):
            raise error

    def save_checkpoints(self) -> None:
        """Copy the checkpoints to S3.

        Raises:
            StorageError: they cannot be written.
        """
        if self._checkpoints:
            self._checkpoints.save()

    def end(self, seconds: float = 0) -> None:
        """End what still runs: SIGTERM, and SIGKILL after some seconds, if any; what it left is ours then."""
        if self._ended:
            return
        self._ended = True
        # Before the others are killed, which is not their fault.
        self._failed = next(((machine, machine.code) for machine in self.machines if machine.code), None)
        containers = [machine.container for machine in self.machines if machine.container]
        if seconds:
            self._ask_to_end(containers, seconds)
        for container in containers:
            container.remove()
        for machine in self.machines:
            for feeder in machine.feeders if machine.container else ():
                feeder.stop()
        if self._network:
            self._emulator.engine.remove_network(self._network)
        if containers:
            self._emulator.engine.own(self._image, self._folder)

    def _ask_to_end(self, containers: Sequence[Container], seconds: float) -> None:
        for container in containers:
            container.send(signal.SIGTERM)
        until = time.monotonic() + seconds
        while any(each.runs for each in containers) and time.monotonic() < until:
            if self._emulator.closing.wait(POLL_SECONDS):
                return

    def _machine(self, host: Host, stamp: int) -> Machine:
        ml = self._folder / host.name
        stream = f"{self._job['TrainingJobName']}/{host.name}-{stamp}"
        path = PurePosixPath(self._job.get("CheckpointConfig", {}).get("LocalPath", DEFAULT_PATH))
        own = path.is_relative_to(ML)
        checkpoints = ml / path.relative_to(ML) if own else self._folder / f"{host.name}-checkpoints"
        return Machine(host, ml, self._emulator.log_file("TrainingJobs", stream), checkpoints)

    def _give(self, machine: Machine, channel: Channel, objects: list[tuple[str, str]]) -> None:
        """Give a host its share of a channel."""
        data, storage = machine.ml / "input" / "data", self._emulator.storage
        if channel.is_pipe:
            machine.feeders.append(Feeder(channel, objects, data, storage))
        else:
            channel.download(storage, objects, data / channel.name)

    @property
    def _image(self) -> str:
        return str(self._job["AlgorithmSpecification"]["TrainingImage"])

    def _plan(self, machine: Machine, network: str) -> Plan:
        engine = self._emulator.engine
        options: list[str] = []
        if not machine.checkpoints.is_relative_to(machine.ml):
            options += engine.mount(machine.checkpoints, self._job["CheckpointConfig"]["LocalPath"])
        for channel in self._channels:
            if channel.mode == "FastFile" and channel.goes_to(machine.host):
                folder = machine.ml / "input" / "data" / channel.name
                options += engine.mount(folder, f"{ML}/input/data/{channel.name}", read_only=True)
        if config.is_gpu(machine.host.instance_type):
            options += engine.gpus
        return Plan(
            image=self._image,
            command=self._command,
            ml=machine.ml,
            log=machine.log,
            environment=config.environment(self._emulator, self._job, machine.host),
            entry_point=self._job["AlgorithmSpecification"].get("ContainerEntrypoint", ()),
            network=network,
            host=machine.host.name,
            options=options,
        )
