"""How ranks on several hosts ended, and which host's end is the job's: where one fails, all others fail for it."""

from __future__ import annotations

import re
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from byoc.training.cluster import ClusterError
from byoc.training.meeting import MANNERS, Meeting, Seat
from byoc.training.stop import Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from byoc.env import TrainingEnvironment

# Seconds to hear of a cause, where all that is known is that ranks can no longer reach one another.
GRACE = 3.0
# Seconds in which all hosts may take their leave.
PARTING = 3.0
# How long the reason is that other hosts are told.
LONGEST_REASON = 500
LOST = "the host is lost, see its own log"
# What PyTorch's collectives say where another rank went away.
CONSEQUENCE = re.compile(r"(?i)gloo|nccl|\bDist\w*Error|Connection (closed|reset) by peer|Broken pipe|TCPStore")


class RankError(ClusterError):
    """A rank that failed, here or on another host."""

    def __init__(self, host: str, reason: str, exit_code: int = 1) -> None:
        self.host = host
        self.reason = reason.partition("\n")[0][:LONGEST_REASON]
        self.exit_code = exit_code
        super().__init__(f"training failed on host {host}: {self.reason}")


@dataclass(frozen=True)
class Outcome:
    """How a host's ranks ended.

    Attributes:
        end: ``done``, ``stopped`` or ``failed``.
        reason: of a failure, in the first line, and more on it in further ones.
        exit_code: of a failure.

    """

    end: str
    reason: str = ""
    exit_code: int = 1

    @property
    def is_cause(self) -> bool:
        """Whether it explains itself, unlike a rank that failed because another one went away."""
        return self.end == "stopped" or (self.end == "failed" and is_cause(self.reason.partition("\n")[0]))

    def message(self) -> dict[str, Any]:
        """Return it as other hosts are told."""
        return {"end": self.end, "reason": self.reason.partition("\n")[0][:LONGEST_REASON]}


def is_cause(line: str) -> bool:
    """Whether what was said may be the cause of a failure, and not the consequence of another rank's."""
    return not CONSEQUENCE.search(line)


class Hosts(Protocol):
    """All hosts of a job, as one of them sees them.

    Attributes:
        checkpoints: the names of those that all hosts have; None where the job keeps none.

    """

    checkpoints: Sequence[str] | None

    def tell(self, own: Outcome) -> None:
        """Tell how this host ended."""

    def verdict(self) -> tuple[str, Outcome] | None:
        """Return how the job ended and which host decided that; None as long as it has not. It does not wait."""


class Alone:
    """The only host."""

    def __init__(self, host: str, checkpoints: Sequence[str] | None) -> None:
        self.checkpoints = checkpoints
        self._host = host
        self._own: Outcome | None = None

    def tell(self, own: Outcome) -> None:
        """Tell how this host ended."""
        self._own = own

    def verdict(self) -> tuple[str, Outcome] | None:
        """Return how it ended."""
        return (self._host, self._own) if self._own else None


class Leader:
    """The first host: it hears of all ends and decides."""

    def __init__(self, host: str, meeting: Meeting, checkpoints: Sequence[str] | None) -> None:
        """Take what all who have come have in common, and let them start."""
        theirs = [hello.get("checkpoints") or () for hello in meeting.hellos.values()]
        self.checkpoints = checkpoints and [name for name in checkpoints if all(name in each for each in theirs)]
        self._host = host
        self._meeting = meeting
        self._ends: dict[str, Outcome] = {}
        self._deadline = float("inf")
        meeting.tell({"start": self.checkpoints})

    def tell(self, own: Outcome) -> None:
        """Note how this host ended."""
        self._ends[self._host] = own

    def verdict(self) -> tuple[str, Outcome] | None:
        """Decide: a cause rather than a consequence, and of two the one that was heard of first."""
        everybody = {self._host, *self._meeting.hellos}
        for host, said in self._meeting.hear().items():
            told = Outcome(str(said.get("end")), str(said.get("reason", ""))) if said else Outcome("failed", LOST)
            self._ends.setdefault(host, told)
        bad = [(host, each) for host, each in self._ends.items() if each.end != "done"]
        if not bad:
            return (self._host, Outcome("done")) if everybody == set(self._ends) else None
        for host, each in bad:
            if each.is_cause:
                return host, each
        self._deadline = min(self._deadline, time.monotonic() + GRACE)
        return bad[0] if time.monotonic() >= self._deadline else None


class Guest:
    """Another host: it tells of its end and is told the job's."""

    def __init__(self, host: str, seat: Seat) -> None:
        """Wait until the first host lets all start.

        Raises:
            ClusterError: it does not, since another host did not come, or is lost.

        """
        self._host = host
        self._seat = seat
        self._own: Outcome | None = None
        self._deadline = float("inf")
        said: dict[str, Any] = {}
        while "start" not in said:
            said = seat.hear(MANNERS)
            if "end" in said:
                raise Stopped(signal.SIGTERM) if said["end"] == "stopped" else RankError(seat.leader, said["reason"])
        self.checkpoints: Sequence[str] | None = said["start"]

    def tell(self, own: Outcome) -> None:
        """Tell the first host how this one ended."""
        self._own = own
        if own.end != "done":
            self._deadline = time.monotonic() + GRACE + MANNERS
        self._seat.tell(own.message())

    def verdict(self) -> tuple[str, Outcome] | None:
        """Return what the first host says, or our own end where that fails or takes too long.

        Raises:
            ClusterError: the first host is lost.

        """
        try:
            said = self._seat.hear(0)
        except ClusterError:
            if self._own and self._own.end != "done" and self._own.is_cause:
                return self._host, self._own
            raise
        if "end" in said:
            return str(said.get("host", self._seat.leader)), Outcome(str(said["end"]), str(said.get("reason", "")))
        return (self._host, self._own) if self._own and time.monotonic() > self._deadline else None


@contextmanager
def gathered(environment: TrainingEnvironment, checkpoints: Sequence[str] | None) -> Iterator[Hosts]:
    """Meet all hosts, each with the names of its checkpoints; however the block ends, the others are told.

    Raises:
        ClusterError: a host does not come in time.

    """
    host, hosts = environment.current_host, environment.hosts
    if len(hosts) == 1:
        yield Alone(host, checkpoints)
    elif environment.is_leader:
        meeting = Meeting(hosts)
        end = Outcome("failed")
        try:
            meeting.gather(environment.hosts_timeout)
            yield Leader(host, meeting, checkpoints)
            end = Outcome("done")
        except BaseException as error:
            end = _outcome_of(error)
            host = getattr(error, "host", host)
            raise
        finally:
            told = end.message()
            meeting.end(told["end"], told["reason"], host, PARTING)
    else:
        seat = Seat(host, hosts[0], 1, environment.hosts_timeout, checkpoints=checkpoints)
        try:
            yield Guest(host, seat)
        except BaseException as error:
            seat.tell(_outcome_of(error).message())
            raise
        finally:
            seat.close()


def _outcome_of(error: BaseException) -> Outcome:
    if isinstance(error, Stopped):
        return Outcome("stopped")
    return Outcome("failed", error.reason if isinstance(error, RankError) else f"{type(error).__name__}: {error}")
