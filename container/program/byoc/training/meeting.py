"""Where a job's hosts meet: each holds a connection to the first one, which tells them at the end how it ended.

A connection that breaks tells of a lost host at once, on either side.
"""

from __future__ import annotations

import json
import logging
import select
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from byoc.training.cluster import ClusterError

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)

PORT = 8785
# Seconds between two tries to reach the first host, doubled from the first to the second.
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
# Seconds that a newcomer has to say its name.
MANNERS = 5.0
LONGEST_WORD = 1 << 16


class Meeting:
    """The first host's side: everybody who came, and whom it lost since."""

    def __init__(self, hosts: Sequence[str], port: int = PORT) -> None:
        """Listen.

        Raises:
            ClusterError: another program has the port.

        """
        self.guests: dict[str, socket.socket] = {}
        self.hellos: dict[str, dict[str, Any]] = {}
        self._expected = hosts[1:]
        try:
            self._door = socket.create_server(("", port), backlog=len(hosts))
        except OSError as error:
            raise ClusterError(
                f"the hosts cannot meet on port {port} of {hosts[0]}: {error.strerror}; leave it free for them"
            ) from error

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        name: tuple[str, int] = self._door.getsockname()
        return name

    def gather(self, patience: float) -> int:
        """Wait until all hosts are here; return how many worker processes they have altogether.

        Raises:
            ClusterError: one is not after ``patience`` seconds.

        """
        deadline = time.monotonic() + patience
        workers = 0
        while missing := [host for host in self._expected if host not in self.guests]:
            self._door.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                connection, address = self._door.accept()
            except TimeoutError:
                raise ClusterError(
                    f"host {', '.join(missing)} did not come within {patience:.0f} s: it may have failed, see its own "
                    "log; and in a VPC let the security group allow traffic within itself"
                ) from None
            hello = _hear(connection, MANNERS)
            if hello.get("host") not in missing:
                log.warning("a stranger at %s is turned away", address[0])
                connection.close()
                continue
            log.info("host %s is here", hello["host"])
            self.guests[hello["host"]] = connection
            self.hellos[hello["host"]] = hello
            workers += int(hello["workers"])
        return workers

    def lost(self) -> list[str]:
        """Return the hosts that went since the last call; it does not wait."""
        return [host for host, message in self.hear().items() if not message]

    def hear(self) -> dict[str, dict[str, Any]]:
        """Return what hosts said since the last call, {} of one that went without a word; it does not wait."""
        ready = select.select(self.guests.values(), (), (), 0)[0]
        said = {host: _hear(connection, MANNERS) for host, connection in self.guests.items() if connection in ready}
        for host, message in said.items():
            if not message:
                self.guests.pop(host).close()
        return said

    def tell(self, message: dict[str, Any]) -> None:
        """Say something to all."""
        for connection in self.guests.values():
            with suppress(OSError):
                _say(connection, message)

    def end(self, word: str, reason: str = "", host: str = "") -> None:
        """Tell all: ``done``, ``stopped``, or ``failed`` with its reason, on which host where it is not this one."""
        self.tell({"end": word, "reason": reason, **({"host": host} if host else {})})
        for connection in self.guests.values():
            connection.close()
        self._door.close()


class Seat:
    """Another host's side: its connection to the first host."""

    def __init__(self, host: str, leader: str, workers: int, patience: float, port: int = PORT, **facts: Any) -> None:
        """Connect, as soon as the first host's name is known to DNS and it listens; tell it the facts.

        Raises:
            ClusterError: that is not so after ``patience`` seconds.

        """
        self.leader = leader
        deadline = time.monotonic() + patience
        pause = FIRST_PAUSE
        while True:
            try:
                self._connection = socket.create_connection((leader, port), timeout=MANNERS)
                break
            except OSError as error:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise ClusterError(
                        f"host {leader}, which leads, cannot be reached after {patience:.0f} s ({error}): it may have "
                        "failed, see its own log; and in a VPC let the security group allow traffic within itself"
                    ) from error
            log.info("waiting for host %s", leader)
            time.sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE)
        _watch(self._connection)
        # Where it breaks already, `word` tells.
        self.tell({"host": host, "workers": workers, **facts})

    def word(self, seconds: float) -> str:
        """Return how the first host says that it ended, "" where within so many seconds it has not.

        Raises:
            ClusterError: it or a host that it names failed, or it is lost.

        """
        said = self.hear(seconds)
        if said.get("end") == "failed":
            raise ClusterError(f"training failed on host {said.get('host', self.leader)}: {said['reason']}")
        return str(said.get("end", ""))

    def hear(self, seconds: float) -> dict[str, Any]:
        """Return what the first host says within so many seconds, {} where it says nothing.

        Raises:
            ClusterError: it is lost.

        """
        if not select.select([self._connection], (), (), seconds)[0]:
            return {}
        said = _hear(self._connection, MANNERS)
        if not said:
            raise ClusterError(f"host {self.leader}, which leads, is lost: see its own log")
        return said

    def tell(self, message: dict[str, Any]) -> None:
        """Say something to the first host; that it is gone is heard, not told here."""
        with suppress(OSError):
            _say(self._connection, message)

    def close(self) -> None:
        """Leave."""
        self._connection.close()


def _watch(connection: socket.socket) -> None:
    """Let the kernel find out within a minute that the other side vanished without a word."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 20), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3)):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


def _say(connection: socket.socket, message: dict[str, Any]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def _hear(connection: socket.socket, seconds: float) -> dict[str, Any]:
    """Return the message, {} where there is none: the connection broke, or what came is no message of ours."""
    connection.settimeout(seconds)
    line = b""
    with suppress(OSError, ValueError):
        # Not a byte beyond the line: what follows is the next message, and to be seen by `select`.
        while not line.endswith(b"\n") and len(line) < LONGEST_WORD and (byte := connection.recv(1)):
            line += byte
        message = json.loads(line)
        _watch(connection)
        return message if isinstance(message, dict) else {}
    return {}
