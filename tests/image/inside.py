"""What goes on inside a running container, seen from within it: the image has no ps, no curl and no ss."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.engine import PORT, docker

if TYPE_CHECKING:
    from tests.engine import Container

# Prints {kind: [[pid, state], ...]} of the processes in the container it runs in, which has no ps.
PROCESSES = """\
import json, pathlib, re
found = {"nginx": [], "gunicorn": [], "worker": [], "other": []}
masters = set()
for file in sorted(pathlib.Path("/proc").glob("[0-9]*/stat"), key=lambda file: int(file.parent.name)):
    try:
        pid, state, parent = re.sub(r"\\(.*\\)", "", file.read_text()).split()[:3]
        words = file.with_name("cmdline").read_bytes()
    except OSError:
        continue
    kind = "other"
    if parent == "1" and b"nginx" in words:
        kind = "nginx"
    elif parent == "1" and b"gunicorn" in words:
        kind = "gunicorn"
        masters.add(pid)
    elif parent in masters:
        kind = "worker"
    found[kind].append([int(pid), state])
print(json.dumps(found))
"""
PROBE = """\
import sys, urllib.request
url, body = sys.argv[1], sys.argv[2].encode() or None
request = urllib.request.Request(url, body, {"Content-Type": "text/csv"})
print(urllib.request.urlopen(request, timeout=10).read().decode(), end="")
"""


def processes(container: Container, kind: str) -> list[int]:
    """Return the pids, as the container counts them, of nginx, gunicorn (the master) or its workers."""
    found = json.loads(container.python(PROCESSES))
    return [pid for pid, state in found[kind] if state != "Z"]


def zombies(container: Container) -> int:
    found = json.loads(container.python(PROCESSES))
    return sum(state == "Z" for group in found.values() for _, state in group)


def connections(container: Container, port: int = PORT) -> int:
    """Return how many connections to a port are open."""
    tables = docker("exec", container.name, "cat", "/proc/net/tcp", "/proc/net/tcp6").stdout
    rows = [line.split() for line in tables.splitlines() if ":" in line]
    return sum(row[3] == "01" and int(row[1].rpartition(":")[2], 16) == port for row in rows)


def kill(container: Container, pid: int, signal: str = "SIGKILL") -> None:
    container.python(
        "import os, signal, sys; os.kill(int(sys.argv[1]), getattr(signal, sys.argv[2]))", str(pid), signal
    )


def probe(container: Container, path: str, body: str = "", port: int = PORT) -> str:
    """Ask from inside, over the loopback."""
    return container.python(PROBE, f"http://127.0.0.1:{port}{path}", body)


def setting(container: Container, name: str) -> str:
    """Return a setting from the table that serve logs at its start."""
    return str(next(record for record in container.records() if record["message"] == "serving")[name])


def listening(container: Container) -> set[int]:
    """Return the TCP ports that something listens on in the container's network."""
    tables = docker("exec", container.name, "cat", "/proc/net/tcp", "/proc/net/tcp6").stdout
    rows = [line.split() for line in tables.splitlines() if ":" in line]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A"}
