"""A server that runs: how long it took to start, and what it answers under load."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmarks import processes
from benchmarks.systems import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.models import Model, Request
    from benchmarks.systems import System
SCRIPT = Path(__file__).with_name("client.lua")
# Milliseconds between two requests for /ping.
PING_PAUSE = 10
LONGEST_START = 120.0
# Clients wait that long for an answer; the slowest system under the heaviest work needs seconds.
PATIENCE = 60


# One more client: it asks for /ping, or sends the bodies of a folder.
Beside = Literal["ping"] | Path


class ServerError(Exception):
    """A server did not start, or answers something else than its model predicts."""


@dataclass(frozen=True)
class Load:
    """What clients saw.

    Attributes:
        good: answers with a status of 2xx that are what they have to be.
        wrong: answers of 2xx that are not.
        refused: answers with other statuses.
        broken: connections that failed or waited too long.
        seconds: how long it took.
        p50, p99: milliseconds from request to answer.

    """

    good: int
    wrong: int
    refused: int
    broken: int
    seconds: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return self.good / self.seconds

    @property
    def failures(self) -> int:
        """Requests without the answer they were to have."""
        return self.wrong + self.refused + self.broken


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        system: which one.
        place: its port, folder and model.
        pids: of the programs started.
        start: seconds from start to the first prediction.

    """

    system: System
    place: Place
    pids: Sequence[int]
    start: float

    @property
    def memory(self) -> int:
        """Bytes held, shared pages counted once."""
        return processes.memory(self.pids)

    def prepare(self, clients: Sequence[Sequence[Request]], folder: Path) -> Path:
        """Ask every request once, alone; write the bodies and the right answers for the clients.

        Raises:
            ServerError: an answer is not what scikit-learn predicts.

        """
        folder.mkdir()
        for client, requests in enumerate(clients):
            for number, request in enumerate(requests):
                body = self.system.encode(request)
                try:
                    status, answer = _ask(self.place.port, self.system, body)
                except (OSError, http.client.HTTPException) as error:
                    raise ServerError(f"{self.system.name} did not answer {body[:100]!r}: {error!r}") from error
                if status != http.client.OK or not self.system.is_right(request, body, answer):
                    raise ServerError(f"{self.system.name} answered {status}: {answer[:200]!r} to {body[:100]!r}")
                (folder / f"{client}.{number}.body").write_bytes(body)
                (folder / f"{client}.{number}.answer").write_bytes(answer)
        return folder

    def load(
        self, clients: int, bodies: Path, seconds: float, beside: Beside | None = None
    ) -> tuple[Load, Load | None]:
        """Send the prepared requests from so many clients; return what they saw, and what the one beside them did."""
        processes.wait_for_rest(self.pids)
        post = ["0", "POST", self.system.path]
        with ExitStack() as stack:
            extra = None
            if beside == "ping":
                ping = [str(PING_PAUSE), "GET", self.system.ping]
                extra = stack.enter_context(self._wrk(1, seconds, [str(bodies / "none"), "text/plain", *ping]))
            elif beside is not None:
                extra = stack.enter_context(self._wrk(1, seconds, [str(beside), self.system.media_type, *post]))
            main = stack.enter_context(self._wrk(clients, seconds, [str(bodies), self.system.media_type, *post]))
            return _result(main), _result(extra) if extra else None

    @contextmanager
    def _wrk(self, clients: int, seconds: float, arguments: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
        # A thread for each client: only then does the script know which request an answer is to.
        options = [f"-t{clients}", f"-c{clients}", f"-d{max(1, round(seconds))}s", f"--timeout={PATIENCE}s"]
        command = ["wrk", *options, "-s", str(SCRIPT), f"http://127.0.0.1:{self.place.port}", "--", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            yield process


@contextmanager
def serving(system: System, model: Model, folder: Path, workers: int = 2) -> Iterator[Server]:
    """Run a server that has answered its first prediction for the length of a with-block.

    Raises:
        ServerError: it did not start; holds the end of its log.

    """
    folder.mkdir(mode=0o755)
    place = Place(model, folder, processes.free_port(), workers)
    launch = system.launch(place)
    log = folder / "log"
    body = system.encode(model.requests(1, 1)[0][0])
    began = time.monotonic()
    with processes.running(launch.commands, launch.environ, log) as pids:
        while not _answers(place.port, system, body):
            if time.monotonic() - began > LONGEST_START or not all(map(processes.start_time, pids)):
                raise ServerError(f"{system.name} did not start: {' | '.join(log.read_text().splitlines()[-5:])}")
            time.sleep(0.005)
        yield Server(system, place, pids, time.monotonic() - began)


def parse(output: str) -> Load:
    """Return what client.lua prints as its last line.

    Raises:
        ServerError: there is no such line.

    """
    lines = output.splitlines()
    if not lines or not lines[-1].startswith("{"):
        raise ServerError(f"wrk failed: {output.strip() or 'it said nothing'}")
    return Load(**json.loads(lines[-1]))


def _result(process: subprocess.Popen[str]) -> Load:
    return parse(process.communicate()[0])


def _answers(port: int, system: System, body: bytes) -> bool:
    try:
        return _ask(port, system, body)[0] == http.client.OK
    except (OSError, http.client.HTTPException):
        return False


def _ask(port: int, system: System, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("POST", system.path, body, {"Content-Type": system.media_type})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
