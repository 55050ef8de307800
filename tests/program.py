"""Runs `train` and `serve` as a user without Docker does: real processes, real nginx and gunicorn, free ports."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from byoc.serving.board import Board

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "container" / "program"
# Linux's PF_EXITING and PF_SIGNALED, and SIGKILL's place among pending signals.
ENDING = 0x4 | 0x400
KILLED = 1 << signal.SIGKILL - 1
# What real jobs show, beyond the three documented keys.
FULL_RESOURCES = {
    "current_host": "algo-1",
    "current_instance_type": "ml.c5.xlarge",
    "current_group_name": "homogeneousCluster",
    "hosts": ["algo-1"],
    "instance_groups": [
        {"instance_group_name": "homogeneousCluster", "instance_type": "ml.c5.xlarge", "hosts": ["algo-1"]}
    ],
    "network_interface_name": "eth0",
    "topology": None,
}


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], Any], seconds: float = 30.0, what: str = "it") -> Any:
    """Poll until the condition holds; return its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)


def json_lines(log: str) -> list[dict[str, Any]]:
    """Return a log's JSON lines; its last line may be only half written, and is left out then."""
    return [json.loads(line) for line in log.rpartition("\n")[0].splitlines() if line.startswith("{")]


def is_running(pid: int) -> bool:
    """Tell whether a process has not ended; one that waits to be asked for its exit code has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:  # it goes at any moment
        return False


def is_dying(pid: int | str) -> bool:
    """Tell whether a process has ended, or was killed and only waits for a CPU to end on.

    What its killer did not wait for may be listed for a while; it is no process that was forgotten.
    """
    try:
        # What is no longer pending by the first look is a flag by the second.
        status = Path(f"/proc/{pid}/status").read_text()
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return True
    pending = [int(signals, 16) for signals in re.findall(r"^(?:Sig|Shd)Pnd:\s+(\w+)$", status, re.MULTILINE)]
    return state == "Z" or bool(int(fields[5]) & ENDING) or any(signals & KILLED for signals in pending)


def write_job(base: Path, hyperparameters: Mapping[str, Any] | None = None, **config: Any) -> Path:
    """Lay out the config folder of an /opt/ml; ``config`` are further files, by their names without .json."""
    folder = base / "input" / "config"
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in {"hyperparameters": hyperparameters or {}, **config}.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    (base / "model").mkdir(exist_ok=True)
    (base / "output").mkdir(exist_ok=True)
    return base


def environ(base: Path, **variables: str) -> dict[str, str]:
    """Return the environment of a process whose /opt/ml is ``base``."""
    # Credentials too: a test that runs moto's server leaves its own in this process.
    left_out = ("SAGEMAKER_", "MODEL_SERVER_", "AWS_ACCESS_KEY", "AWS_SECRET", "AWS_SESSION")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    # Unbuffered as in the image: what a worker prints would be lost where it ends without Python's own way out.
    return {**kept, "PYTHONUNBUFFERED": "1", "SAGEMAKER_BASE_DIR": str(base), **variables}


def write_program(folder: Path, *files: Path) -> Path:
    """Make a container/program of the repository's, except for the files given, which take their namesakes' places."""
    folder.mkdir(parents=True, exist_ok=True)
    own = {file.name: file for file in files}
    for path in PROGRAM.iterdir():
        # Python looks for modules beside the script itself, not beside a link to it.
        if path.name in own or path.name in ("train", "serve"):
            shutil.copy(own.get(path.name, path), folder / path.name)
        elif path.name != "__pycache__":
            (folder / path.name).symlink_to(path)
    return folder


def train(base: Path, program: Path = PROGRAM, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `train` to its end."""
    command = [sys.executable, str(program / "train")]
    return subprocess.run(
        command, env=environ(base, **variables), capture_output=True, text=True, check=False, timeout=250
    )


class Server:
    """A running `serve`.

    Attributes:
        process: PID 1's stand-in, the supervisor.
        url: where it listens.
        log: the file its output goes to.

    """

    def __init__(self, base: Path, program: Path = PROGRAM, **variables: str) -> None:
        self.port = int(variables.setdefault("SAGEMAKER_BIND_TO_PORT", str(free_port())))
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = base / f"serve-{self.port}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(program / "serve")], env=environ(base, **variables), stdout=log, stderr=log
            )

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Wait for /ping to answer 200; fail with the log if the server ends first."""

        def is_ready() -> bool:
            assert self.process.poll() is None, f"serve ended with {self.process.returncode}:\n{self.log.read_text()}"
            try:
                return requests.get(f"{self.url}/ping", timeout=2).status_code == 200
            except requests.RequestException:
                return False

        wait_until(is_ready, seconds, "a good /ping")

    def post(self, body: bytes | str, content_type: str = "text/csv", **headers: str) -> requests.Response:
        """POST /invocations."""
        return requests.post(
            f"{self.url}/invocations", data=body, headers={"Content-Type": content_type, **headers}, timeout=100
        )

    def records(self) -> list[dict[str, Any]]:
        """Return the log's JSON lines."""
        return json_lines(self.log.read_text())

    def last_line(self) -> str:
        """Return the message of the log's last line."""
        return str(json.loads(self.log.read_text().splitlines()[-1])["message"])

    def children(self) -> dict[str, list[int]]:
        """Return the pids below the supervisor, by what they are: nginx, gunicorn (the master), worker."""
        listing = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
        fields = (line.split(None, 2) for line in listing.splitlines())
        rows = [(int(pid), int(ppid), args) for pid, ppid, args in fields]
        direct = {pid: args for pid, ppid, args in rows if ppid == self.process.pid}
        masters = [pid for pid, args in direct.items() if "gunicorn" in args]
        return {
            "nginx": [pid for pid, args in direct.items() if "nginx" in args],
            "gunicorn": masters,
            "worker": [pid for pid, ppid, _ in rows if ppid in masters],
        }

    def runtime(self) -> Path:
        """Return the folder of this server's sockets and notice board."""
        (gunicorn,) = self.children()["gunicorn"]
        variables = Path(f"/proc/{gunicorn}/environ").read_text().split("\0")
        return next(Path(each.partition("=")[2]) for each in variables if each.startswith("BYOC_RUNTIME_DIR="))

    def busy(self) -> int:
        """Return how many workers are predicting, as the notice board says."""
        return sum(bool(slot.busy_since) for slot in Board(self.runtime() / "board").workers())

    def left_over(self, children: Mapping[str, list[int]]) -> list[str]:
        """Return what still runs in the process groups of nginx and gunicorn, as `children` named them."""
        groups = [str(pid) for name in ("nginx", "gunicorn") for pid in children[name]]
        listing = subprocess.run(["ps", "-eo", "pgid=,pid=,stat=,args="], capture_output=True, text=True, check=True)
        rows = [line.split(None, 3) for line in listing.stdout.splitlines()]
        # An orphan's zombie is for this machine's own PID 1 to reap.
        return [" ".join(row) for row in rows if row[0] in groups and not is_dying(row[1])]

    def stop(self, signum: int = signal.SIGTERM, seconds: float = 40.0) -> int:
        """Signal the supervisor, wait for its end and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        return self.process.wait(seconds)


@contextmanager
def serving(base: Path, program: Path = PROGRAM, **variables: str) -> Iterator[Server]:
    """Run a server that is ready for the length of a with-block."""
    server = Server(base, program, **variables)
    try:
        server.wait_ready()
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()
