"""Dask's own programs, the scheduler and the worker, sized by the container's cgroup."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from byoc.entry import EntryPoint
from byoc.training.cluster import ClusterError

if TYPE_CHECKING:
    from byoc.env import TrainingEnvironment

PORT = 8786
# A worker process for each CPU, unless that leaves it less than so many bytes: then threads share one.
PROCESS_MEMORY = 1 << 30
# What of a host's memory its workers may use; on the first host `fit` itself and the scheduler need theirs.
SHARE = 0.9
LEADERS_SHARE = 0.5
# Seconds that a worker looks for its scheduler, and that a program has to end when told to.
LOOKING = 120
ENDING = 3.0


# Dask's settings; a variable of the job's own takes precedence.
SETTINGS = {
    "DASK_LOGGING__DISTRIBUTED": "warning",
    # It would take copies of data from workers that do not need them just now, until the last is lost with its host.
    "DASK_DISTRIBUTED__SCHEDULER__ACTIVE_MEMORY_MANAGER__START": "false",
    # A worker that holds too much memory between its tasks would wait for ever, and the job with it.
    "DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE": "false",
    # Compiled code that does not release Python's lock keeps a worker silent; of a lost one the connection tells.
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "30 minutes",
    # Each worker would look a hundred times a second at what it does.
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "false",
}


@dataclass(frozen=True)
class Size:
    """How a host works: processes, the threads of each, and the bytes of memory of each."""

    processes: int
    threads: int
    memory: int

    @classmethod
    def of_host(cls, cpus: int, memory: int, *, leads: bool) -> Size:
        """Return the size for a host with so many CPUs and bytes of memory, as its cgroup has them."""
        usable = int(memory * (LEADERS_SHARE if leads else SHARE))
        processes = max(1, min(cpus, usable // PROCESS_MEMORY))
        return cls(processes, max(1, cpus // processes), usable // processes)


def address(interface: str) -> str:
    """Return the scheduler's address on this host.

    Raises:
        ClusterError: there is no such network interface, or it has no address.

    """
    from distributed.utils import get_ip_interface  # noqa: PLC0415 - not on a job of one host

    try:
        return f"tcp://{get_ip_interface(interface)}:{PORT}"
    except ValueError as error:
        raise ClusterError(f"network_interface_name={interface!r} cannot be used: {error}") from error


def scheduler(interface: str) -> subprocess.Popen[bytes]:
    """Start the scheduler."""
    return _start("scheduler", "--interface", interface, "--port", str(PORT), "--no-dashboard")


def worker(environment: TrainingEnvironment, scheduler: str, size: Size) -> subprocess.Popen[bytes]:
    """Start this host's worker processes, which are started anew where one of them is killed."""
    return _start(
        "worker",
        scheduler,
        *("--interface", environment.network_interface, "--name", environment.current_host),
        *("--nworkers", str(size.processes), "--nthreads", str(size.threads), "--memory-limit", str(size.memory)),
        *("--local-directory", tempfile.gettempdir(), "--death-timeout", str(LOOKING), "--no-dashboard"),
        *("--preload", "byoc.training.dask_backend"),
    )


def _start(program: str, *arguments: str) -> subprocess.Popen[bytes]:
    # What `fit` sends is found there: its own modules, and those of the user's entry point.
    code = str(EntryPoint.from_environ(os.environ).file.parent)
    environ = {
        **SETTINGS,
        **os.environ,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys([code, *filter(None, sys.path)])),
    }
    # A group of its own: it ends when told by us, and with all that it started.
    command = [sys.executable, "-m", f"distributed.cli.dask_{program}", *arguments]
    return subprocess.Popen(command, env=environ, start_new_session=True)


def end(*programs: subprocess.Popen[bytes]) -> None:
    """End the programs and all that they started."""
    for program in programs:
        _signal(program, signal.SIGTERM)
    deadline = time.monotonic() + ENDING
    for program in programs:
        with suppress(subprocess.TimeoutExpired):
            program.wait(max(0, deadline - time.monotonic()))
        _signal(program, signal.SIGKILL)
        program.wait()


def _signal(program: subprocess.Popen[bytes], signum: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(program.pid, signum)
