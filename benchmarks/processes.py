"""Starts a server's processes, tells what they use, and ends all of them."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
# Of one CPU: what a server may use and still count as at rest. Some poll.
AT_REST = 0.1
PATIENCE = 10.0
PORTS = (20_000, 32_000)


@contextmanager
def running(commands: Sequence[Sequence[str]], environ: Mapping[str, str], log: Path) -> Iterator[list[int]]:
    """Run programs for the length of a with-block, and yield their pids; what they say goes to the log."""
    with log.open("a") as out:
        started = [
            subprocess.Popen(command, env=environ, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=log.parent)
            for command in commands
        ]
    try:
        yield [process.pid for process in started]
    finally:
        family = descendants([process.pid for process in started])
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        # Whatever they left running: the ids are this run's own.
        for pid, began in family.items():
            if start_time(pid) == began:
                os.kill(pid, signal.SIGKILL)


def descendants(pids: Sequence[int]) -> dict[int, int]:
    """Return the processes and all below them, by id, with the clock ticks at which each started."""
    parents = {}
    for folder in PROC.glob("[0-9]*"):
        fields = _stat(int(folder.name))
        if fields:
            parents[int(folder.name)] = int(fields[1])
    found = list(pids)
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return {pid: began for pid in found if (began := start_time(pid))}


def start_time(pid: int) -> int:
    """Return the clock ticks since boot at which a process started, 0 where it has ended."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] != "Z" else 0


def memory(pids: Sequence[int]) -> int:
    """Return the bytes that the processes and all below them hold, shared pages divided among those that share."""
    total = 0
    for pid in descendants(pids):
        try:
            rollup = (PROC / str(pid) / "smaps_rollup").read_text()
        except OSError:
            continue
        total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total * 1024


def wait_for_rest(pids: Sequence[int], seconds: float = 30.0) -> None:
    """Wait until the processes have nothing left to do, or until the time is over."""
    deadline, period = time.monotonic() + seconds, 0.25
    before = _cpu(pids)
    while time.monotonic() < deadline:
        time.sleep(period)
        now = _cpu(pids)
        if now - before < AT_REST * period:
            return
        before = now


def free_port() -> int:
    """Return a port that nothing listens on, below those that clients' ends of connections are given."""
    while True:
        port = random.SystemRandom().randrange(*PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _cpu(pids: Sequence[int]) -> float:
    stats = (_stat(pid) for pid in descendants(pids))
    return sum(int(fields[11]) + int(fields[12]) for fields in stats if fields) / TICKS


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat behind the program's name, state first; [] where it has ended."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
