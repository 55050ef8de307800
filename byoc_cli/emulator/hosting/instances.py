"""An instance: the container of a model, or its chain of them, on one host."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from byoc_cli.emulator.errors import ApiError
from byoc_cli.emulator.hosting.calls import Answer, Call, CallError, ContainerError
from byoc_cli.emulator.hosting.containers import HostedContainer, Profile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from byoc_cli.emulator.emulator import Emulator
    from byoc_cli.emulator.hosting.models import Model

LARGEST_HOP = 5 << 20
# So many health checks one after the other fail until an instance is given up.
BAD_PINGS = 3
TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container {}. Review the latency metrics for each "
    "container in Amazon CloudWatch, resolve the issue, and try again."
)


@dataclass(frozen=True)
class Invocation:
    """A request for a prediction.

    Attributes:
        body: bytes, or pieces that are sent in chunks.
        headers: that the container is to see: Content-Type, Accept and SageMaker's own.
        seconds: that all of it may take.
        target_model: where many models are, the one that is meant.
        hostname: in Direct mode, the container that is meant.
    """

    body: bytes | Iterable[bytes]
    headers: Mapping[str, str]
    seconds: float = 60
    target_model: str = ""
    hostname: str = ""


class Instance:
    """The containers of a model; `start` before anything else.

    Args:
        emulator: whose engine runs them.
        model: that they serve.
        profile: what they are started for.

    Attributes:
        containers: in the order of the chain.
        in_flight: requests that have entered and not left.
    """

    def __init__(self, emulator: Emulator, model: Model, profile: Profile) -> None:
        several = len(model.containers) > 1
        self.containers = [
            HostedContainer(emulator, each, number if several else None, profile)
            for number, each in enumerate(model.containers)
        ]
        self.in_flight = 0
        self._is_direct = model.direct
        self._is_multi = model.is_multi
        self._bad_pings = 0
        self._changed = threading.Condition()

    @property
    def url(self) -> str:
        """Where its first container listens, ``http://127.0.0.1:…``."""
        return self.containers[0].url

    @property
    def runs(self) -> bool:
        """Whether all its containers have started and not ended."""
        return all(each.runs for each in self.containers)

    @property
    def is_fit(self) -> bool:
        """Whether it runs, and its health checks do not keep failing."""
        return self.runs and self._bad_pings < BAD_PINGS

    def check(self) -> None:
        """Check the health of its containers, once; it may take two seconds for each."""
        is_healthy = all(each.is_healthy() for each in self.containers)
        self._bad_pings = 0 if is_healthy else self._bad_pings + 1

    def start(self) -> None:
        """Start the containers and return when all are healthy; after an error nothing is left of them.

        Raises:
            StartError: one did not come up; the message is a FailureReason.
        """
        try:
            with ThreadPoolExecutor(len(self.containers)) as threads:
                list(threads.map(HostedContainer.start, self.containers))
            for each in self.containers:
                each.wait()
        except BaseException:
            self.close()
            raise

    def answer(self, invocation: Invocation) -> Answer:
        """Return the answer to a request, which has gone through the whole chain.

        Raises:
            ContainerError: a container answered an error, or not in time.
            ApiError: the request names a model or a container that is not there.
        """
        with self.open(invocation) as made:
            try:
                return Answer(made.status, made.headers, made.read())
            except CallError as error:
                raise _fault(self._chain(invocation.hostname)[-1], error) from error

    @contextmanager
    def open(self, invocation: Invocation) -> Iterator[Call]:
        """Lend the answer of the last container as soon as it has begun; it is no error.

        Raises:
            ContainerError: as above; while the answer is read, CallError.
            ApiError: as above.
        """
        if invocation.target_model and not self._is_multi:
            raise ApiError("ValidationError", "The endpoint is no multi-model endpoint: it takes no TargetModel")
        *inner, last = self._chain(invocation.hostname)
        end = time.monotonic() + invocation.seconds
        body, headers = invocation.body, dict(invocation.headers)
        for container in inner:
            # The client's Accept is about the last answer.
            bare = {name: value for name, value in headers.items() if name.lower() != "accept"}
            body, media_type = self._hop(container, body, bare, end, invocation.target_model)
            headers = {name: value for name, value in headers.items() if name.lower() != "content-type"}
            headers |= {"Content-Type": media_type} if media_type else {}
        with _asked(last, body, headers, end, invocation.target_model) as made:
            yield made

    def close(self) -> None:
        """Stop all containers as the platform does, and remove what is left of them."""
        with ThreadPoolExecutor(len(self.containers)) as threads:
            list(threads.map(HostedContainer.stop, self.containers))

    def enter(self) -> None:
        """Count a request that is going to be answered."""
        with self._changed:
            self.in_flight += 1

    def leave(self) -> None:
        """Count it no more."""
        with self._changed:
            self.in_flight -= 1
            self._changed.notify_all()

    def drain(self, seconds: float) -> None:
        """Wait until no request is being answered, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self.in_flight == 0, max(0.0, seconds))

    def _chain(self, hostname: str) -> list[HostedContainer]:
        if not self._is_direct:
            if hostname:
                raise ApiError("ValidationError", "TargetContainerHostname needs InferenceExecutionConfig.Mode Direct")
            return self.containers
        found = [each for each in self.containers if each.name == hostname]
        if not found:
            names = ", ".join(each.name for each in self.containers)
            raise ApiError("ValidationError", f"TargetContainerHostname must be one of {names}")
        return found

    @staticmethod
    def _hop(
        container: HostedContainer, body: bytes | Iterable[bytes], headers: Mapping[str, str], end: float, target: str
    ) -> tuple[bytes, str]:
        """Return what a container makes of a body, for the next one, and its media type."""
        with _asked(container, body, headers, end, target) as made:
            try:
                read = made.read()
            except CallError as error:
                raise _fault(container, error) from error
        if len(read) > LARGEST_HOP:
            told = f"the answer has {len(read)} bytes; {LARGEST_HOP} are the most between containers"
            raise ContainerError(container.name, made.status, told.encode())
        return read, made.headers.get("content-type", "")


@contextmanager
def _asked(
    container: HostedContainer, body: bytes | Iterable[bytes], headers: Mapping[str, str], end: float, target: str
) -> Iterator[Call]:
    """Lend the answer of a container to a request; an error it answers is raised."""
    with ExitStack() as stack:
        try:
            made = stack.enter_context(container.asked(body, headers, max(0.01, end - time.monotonic()), target))
            is_fine = 200 <= made.status < 300  # noqa: PLR2004
            error_body = b"" if is_fine else made.read()
        except CallError as error:
            raise _fault(container, error) from error
        if not is_fine:
            raise ContainerError(container.name, made.status, error_body)
        yield made


def _fault(container: HostedContainer, error: CallError) -> ContainerError:
    told = TIMED_OUT.format(container.name) if error.timed_out else str(error)
    return ContainerError(container.name, 0, told.encode(), timed_out=error.timed_out)
