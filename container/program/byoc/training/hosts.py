"""Work on data where it lies: on this host by threads, or on each host of a job by the Dask workers there."""

from __future__ import annotations

from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from byoc.errors import DataError
from byoc.training import cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from byoc.training.job import Job

T = TypeVar("T")
# Before what is read ahead.
URGENT = 10


class Future(Protocol):
    """What will be there: a result, or an error that `result` raises."""

    def result(self) -> Any:
        """Wait for it."""


class Hosts(Protocol):
    """Hosts that work for a job. What they are given has to be known to them: functions of modules.

    Attributes:
        threads: how many tasks each host does at a time, by its name; in the job's order.

    """

    threads: dict[str, int]

    def start(self, host: str, function: Callable[..., Any], *arguments: Any) -> Future:
        """Have the host do a task; what comes of it stays there."""

    def join(self, host: str, function: Callable[..., T], state: Any, found: Future) -> T:
        """Return the function of a state and of what a task has left on a host, computed there."""


def each(hosts: Hosts, function: Callable[..., T], *arguments: Any) -> dict[str, T]:
    """Return what every host has to say, by its name.

    Raises:
        DataError: of one of them.

    """
    asked = {host: hosts.start(host, function, *arguments) for host in hosts.threads}
    return {host: told_by(host if len(asked) > 1 else "", future.result) for host, future in asked.items()}


def ahead(hosts: Hosts, tasks: Iterable[tuple[str, Any]], function: Callable[..., Any]) -> Iterator[tuple[str, Future]]:
    """Have tasks done, on each host some ahead of the one in turn, and yield them in their order.

    Args:
        hosts: do them; of what comes of it, a host holds one more at a time than it has threads.
        tasks: by whom, and what the function is given.
        function: of a module.

    """
    started: deque[tuple[str, Future]] = deque()
    busy: Counter[str] = Counter()
    for host, task in tasks:
        while busy[host] > hosts.threads[host]:
            turn = started.popleft()
            yield turn
            busy[turn[0]] -= 1
        started.append((host, hosts.start(host, function, task)))
        busy[host] += 1
    while started:
        yield started.popleft()


def told_by(host: str, work: Callable[[], T]) -> T:
    """Return what the work returns.

    Raises:
        DataError: of the work; it names the host, where that is given.

    """
    try:
        return work()
    except DataError as error:
        raise DataError(f"host {host}: {error}" if host else str(error)) from error


class OneHost:
    """The host that this is, by threads: while one reads a table, others compute."""

    def __init__(self, name: str, threads: int) -> None:
        self.threads = {name: threads}
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="ahead")

    def start(self, _host: str, function: Callable[..., Any], *arguments: Any) -> Future:
        """See `Hosts`."""
        return self._pool.submit(function, *arguments)

    def join(self, _host: str, function: Callable[..., T], state: Any, found: Future) -> T:
        """See `Hosts`."""
        return function(state, found.result())

    def close(self) -> None:
        """Drop what has not begun."""
        self._pool.shutdown(cancel_futures=True)


class DaskHosts:
    """The hosts of a job that `byoc.training.dask` leads."""

    def __init__(self, client: Any, names: Iterable[str]) -> None:
        self._client = client
        found = client.scheduler_info(n_workers=-1)["workers"].values()
        # A host with several worker processes has numbered them: algo-1-0, algo-1-1.
        workers = {
            host: [each for each in found if host in (each["name"], each["name"].rpartition("-")[0])] for host in names
        }
        self.threads = {host: sum(each["nthreads"] for each in own) for host, own in workers.items()}
        # Tasks are for a host and not for its workers, for one that is started anew has another address.
        self._addresses = {host: own[0]["host"] for host, own in workers.items()}

    def start(self, host: str, function: Callable[..., Any], *arguments: Any) -> Future:
        """See `Hosts`."""
        future: Future = self._client.submit(function, *arguments, workers=[self._addresses[host]], pure=False)
        return future

    def join(self, host: str, function: Callable[..., T], state: Any, found: Future) -> T:
        """See `Hosts`; what is lost with a worker is computed again by the one started in its place."""
        # The state is small, and comes back each time: a chain of them would be lost, or computed again, as a whole.
        joined = self._client.submit(
            function, state, found, workers=[self._addresses[host]], pure=False, priority=URGENT
        )
        result: T = joined.result()
        return result


@contextmanager
def of(job: Job) -> Iterator[Hosts]:
    """Give the hosts that work for `fit`."""
    environment = job.environment
    if cluster.is_led(environment):
        import distributed  # noqa: PLC0415 - not on a job of one host

        yield DaskHosts(distributed.get_client(), environment.hosts)
        return
    here = OneHost(environment.current_host, job.cpus)
    try:
        yield here
    finally:
        here.close()
