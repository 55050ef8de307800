"""PyTorch over the hosts of a job and the GPUs of each host, by its own launcher, torchrun.

A file whose `fit` is to be run so says ``DISTRIBUTION = "torchrun"``; SageMaker's SDK asks for it, for the script that
it sends, by the hyperparameter ``sagemaker_torch_distributed_enabled``. Each host runs torchrun's agent, which runs the
ranks.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from byoc import machine
from byoc.errors import UserError
from byoc.training import failure, hyperparameters, outcome, rank
from byoc.training.checkpoints import Checkpoints
from byoc.training.cluster import ClusterError
from byoc.training.listener import Listener, explain
from byoc.training.outcome import Outcome, RankError
from byoc.training.stop import IMPATIENCE, PATIENCE, Stopped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from byoc.env import TrainingEnvironment
    from byoc.training.outcome import Hosts
    from byoc.training.stop import StopNotice

log = logging.getLogger(__name__)

NAME = "torchrun"
HYPERPARAMETER = "sagemaker_torch_distributed_enabled"
# Where the ranks meet on the first host; the port that SageMaker's own images use.
PORT = 7777
POLL = 0.1
AGENT = Path(__file__).with_name("torchrun_agent.py")
FIRST_FAILURE = "first.json"
# What PyTorch puts before each line of a traceback.
PREFIX = re.compile(r"^\[rank\d+\]: ?", re.MULTILINE)


@dataclass(frozen=True)
class Program:
    """What every rank runs.

    Attributes:
        name: what it is called in messages; "" where it is the image's own.
        command: its words.
        environ: its variables, but for those that torchrun adds.
        folder: where it runs, None is here.
        stop: the signal that it is stopped by; 0 is the one that the job was sent.

    """

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    folder: Path | None = None
    stop: int = 0


def is_asked_for(environment: TrainingEnvironment, distribution: object = "") -> bool:
    """Whether the job's hyperparameter or the file's ``DISTRIBUTION`` asks for torchrun.

    Raises:
        UserError: the file asks for something else.

    """
    if distribution not in ("", NAME):
        raise UserError(f"DISTRIBUTION = {distribution!r} is not known; it may be {NAME!r}, or left out")
    asked = hyperparameters.decode(environment.hyperparameters.get(HYPERPARAMETER, ""))
    return asked is True or distribution == NAME


def processes(environment: TrainingEnvironment) -> int:
    """Return how many ranks a host has: as many as it is told, else one for each GPU, else one."""
    return environment.processes_per_host or machine.devices("nvidia") or 1


def fit(environment: TrainingEnvironment, notice: StopNotice, model_dir: Path) -> None:
    """Run the program that this is once more, as every rank; there it runs `fit`. Raises what `run` does."""
    # Not by SIGTERM: Lightning answers that by a collective call of its own, in the midst of others, and may hang.
    command = [sys.executable, str(Path(sys.argv[0]).resolve())]
    run(Program("", command, os.environ, stop=signal.SIGINT), environment, notice, model_dir)


def run(program: Program, environment: TrainingEnvironment, notice: StopNotice, model_dir: Path | None = None) -> None:
    """Run the program as all ranks of this host, together with all other hosts, until the job ends.

    Raises:
        ClusterError: a host does not come, is lost, or a rank failed, here or there.
        Stopped: the job was told to stop, and the ranks ended by that.
        UserError: there is no PyTorch.

    """
    if importlib.util.find_spec("torch") is None:
        raise UserError(
            "torchrun needs PyTorch, which this image does not have: build it with --extra torch "
            "(--build-arg EXTRAS=torch), or on a base image with PyTorch"
        )
    found = Checkpoints(*rank.checkpoints(environment)).sound() if model_dir else None
    with tempfile.TemporaryDirectory(prefix="byoc-ranks-") as place, outcome.gathered(environment, found) as hosts:
        plan = {"model_dir": str(model_dir or ""), "checkpoints": hosts.checkpoints}
        (Path(place) / rank.PLAN).write_text(json.dumps(plan))
        agent = Agent(program, environment, Path(place))
        try:
            host, ended = _follow(agent, hosts, notice)
        finally:
            agent.kill()
        _raise_unless_done(host, ended, environment, notice)


def _follow(agent: Agent, hosts: Hosts, notice: StopNotice) -> tuple[str, Outcome]:
    """Watch over ranks and hosts until the job has ended; pass a stop on to the ranks."""
    own: Outcome | None = None
    deadline = float("inf")
    while not (found := hosts.verdict()):
        if notice.requested:
            deadline = min(deadline, time.monotonic() + PATIENCE - IMPATIENCE)
            agent.stop(notice.signum)
        if time.monotonic() > deadline:
            log.error("the ranks did not stop in time; they are killed")
            raise Stopped(notice.signum)
        if own is None and (own := agent.outcome(notice)):
            hosts.tell(own)
            agent.kill()
        time.sleep(POLL)
    # What happened here is told here, though another host's failure may have been heard of first.
    return (agent.host, own) if own and own.end == "failed" and own.is_cause else found


def _raise_unless_done(host: str, ended: Outcome, environment: TrainingEnvironment, notice: StopNotice) -> None:
    if ended.end == "stopped":
        raise Stopped(notice.signum or signal.SIGTERM)
    if ended.end == "failed":
        if host == environment.current_host:
            with suppress(OSError):  # told in the log by whom this is raised to
                failure.write(environment.paths.failure, ended.reason)
        raise RankError(host, ended.reason, ended.exit_code)


class Agent:
    """torchrun on this host: a process that starts the ranks, and hears no signal, which are for the ranks alone."""

    def __init__(self, program: Program, environment: TrainingEnvironment, place: Path) -> None:
        """Start it.

        Raises:
            ClusterError: the network interface that the platform names is not there.

        """
        self.host = environment.current_host
        self._program = program
        self._place = place
        self._told: set[int] = set()
        count = processes(environment)
        arguments = [str(place / FIRST_FAILURE), *_arguments(environment, count), "--no-python", *program.command]
        # -P: the modules beside it are none of PyTorch's.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(AGENT), *arguments],
            cwd=program.folder,
            env={**_variables(environment, count), **program.environ, rank.FOLDER: str(place)},
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._listener = Listener(self._process)
        log.info("torchrun: %d hosts of %d ranks each", len(environment.hosts), count)

    def ranks(self) -> list[int]:
        """Return the process ids of the ranks that run."""
        found = []
        for file in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                state, parent = file.read_text().rpartition(")")[2].split()[:2]
                if int(parent) == self._process.pid and state != "Z":
                    found.append(int(file.parent.name))
        return found

    def stop(self, signum: int) -> None:
        """Pass a stop on to each rank, once."""
        for pid in set(self.ranks()) - self._told:
            self._told.add(pid)
            with suppress(ProcessLookupError):
                os.kill(pid, self._program.stop or signum)

    def outcome(self, notice: StopNotice) -> Outcome | None:
        """Return how the ranks ended, None while they run."""
        ended = self._process.poll()
        if told := [Outcome("failed", text) for text in rank.failures(self._place)]:
            return next((each for each in told if each.is_cause), told[0])
        if not ended:
            return None if ended is None else Outcome("done")
        name, status = NAME, ended
        with suppress(FileNotFoundError):
            first = json.loads((self._place / FIRST_FAILURE).read_bytes())
            name, status = f"rank {first['rank']}", int(first["status"])
            name += f" of {self._program.name}" if self._program.name else ""
        signum = notice.signum and (self._program.stop or notice.signum)
        if signum and status in (-signum, 128 + signum):
            return Outcome("stopped")
        text = explain(name, status, PREFIX.sub("", self._listener.text()), outcome.is_cause)
        return Outcome("failed", text, 128 - status if status < 0 else status)

    def kill(self) -> None:
        """End all that is left, at once."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGSTOP)  # it starts no more ranks
        for pid in self.ranks():
            # Some versions of PyTorch give each rank a session of its own, so that its own children go with it.
            for kill in (os.killpg, os.kill):
                with suppress(ProcessLookupError):
                    kill(pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()


def _arguments(environment: TrainingEnvironment, count: int) -> list[str]:
    hosts = environment.hosts
    # Alone, a host may have no network, and may not know its own name.
    meeting_point = hosts[0] if len(hosts) > 1 else "127.0.0.1"
    return [
        *(f"--nnodes={len(hosts)}", f"--nproc-per-node={count}"),
        f"--node-rank={hosts.index(environment.current_host)}",
        *(f"--master-addr={meeting_point}", f"--master-port={PORT}"),
    ]


def _variables(environment: TrainingEnvironment, count: int) -> dict[str, str]:
    """Return what PyTorch reads; what the image or the job has set already is left."""
    interface = environment.network_interface if len(environment.hosts) > 1 else "lo"
    if not Path("/sys/class/net", interface).exists():
        raise ClusterError(f"network_interface_name={interface!r} cannot be used: this host has none of that name")
    threads = str(max(1, machine.cpus() // count))
    return {"OMP_NUM_THREADS": threads, "GLOO_SOCKET_IFNAME": interface, "NCCL_SOCKET_IFNAME": interface}
