"""Removes what an emulator started once the emulator is gone, however it went: a process that outlives it by a moment.

Run as a program, which is why it imports nothing of ours: `reaper.py CLIENT LABEL`. It reads process ids from its
input, a line each, until that ends, which the kernel sees to when the emulator dies.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress


class Reaper:
    """The emulator's end of it.

    Args:
        client: the program `docker`; "" where there is no engine.
        label: of the containers and networks to remove.
    """

    def __init__(self, client: str, label: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, client, label], stdin=subprocess.PIPE, start_new_session=True
        )

    def watch(self, pid: int) -> None:
        """Have a process, and all that it started, ended too."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{pid}\n".encode())
        self._process.stdin.flush()

    def close(self) -> None:
        """Have all of it removed now; return when it is."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    """Wait for the end of the input, then remove."""
    client, label = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # A process id alone may be another program's by then.
    watched = {int(line): _started(int(line)) for line in sys.stdin}
    for pid, started in watched.items():
        if started and _started(pid) == started:
            kill(pid)
    if client:
        _remove(client, label)


def kill(pid: int) -> None:
    """Kill a process and all that it started, in whatever sessions those are: a program's own workers may have theirs.

    Each is halted before its children are looked for, so that it starts no more of them meanwhile.
    """
    found, todo = [], [pid]
    while todo:
        each = todo.pop()
        with suppress(ProcessLookupError, PermissionError):
            os.kill(each, signal.SIGSTOP)
        found.append(each)
        todo += _children(each)
    for each in found:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(each, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    rows = [line.split() for line in _ps("-A", "-o", "pid=,ppid=").splitlines()]
    return [int(child) for child, parent in rows if int(parent) == pid]


def _started(pid: int) -> str:
    """Return when a process was started, "" where there is none."""
    return _ps("-o", "lstart=", "-p", str(pid)).strip()


def _ps(*words: str) -> str:
    return subprocess.run(["ps", *words], capture_output=True, text=True, check=False).stdout


def _remove(client: str, label: str) -> None:
    """Remove containers, twice, since one may just have been about to start; then networks."""
    for _ in range(2):
        listed = subprocess.run(
            [client, "ps", "--all", "--quiet", "--filter", f"label={label}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if found := listed.stdout.split():
            subprocess.run([client, "rm", "--force", "--volumes", *found], capture_output=True, check=False)
    prune = [client, "network", "prune", "--force", "--filter", f"label={label}"]
    subprocess.run(prune, capture_output=True, check=False)


if __name__ == "__main__":
    main()
