"""Dask over a job's hosts: the scheduler on the first of them, a worker on each, as programs of their own."""

from __future__ import annotations

import logging
import signal
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from byoc import machine
from byoc.training import cluster, dask_programs
from byoc.training.cluster import ClusterError
from byoc.training.dask_programs import Size
from byoc.training.meeting import Meeting, Seat
from byoc.training.stop import Stopped

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    from byoc.env import TrainingEnvironment
    from byoc.training.stop import StopNotice

log = logging.getLogger(__name__)

POLL = 0.25
# Seconds that workers have to join the scheduler once their hosts are here, and the client to say good-bye.
JOINING = 120.0
ENDING = 3.0
# Seconds that the first host has to say that a worker ended for what befell the cluster: it closes its client before.
LAST_WORD = 2 * ENDING


class Broken(BaseException):
    """Raised in the main thread, in the midst of `fit`, when the cluster cannot go on."""


@contextmanager
def leading(environment: TrainingEnvironment) -> Iterator[None]:
    """Run the block on the first host with joblib's work spread over all hosts; then tell them how it ended.

    Raises:
        ClusterError: a host does not come, or the scheduler or every worker is lost.

    """
    meeting = Meeting(environment.hosts)
    programs: list[subprocess.Popen[bytes]] = []
    try:
        size = Size.of_host(machine.cpus(), machine.memory(), leads=True)
        address = dask_programs.address(environment.network_interface)
        programs.append(dask_programs.scheduler(environment.network_interface))
        programs.append(dask_programs.worker(environment, address, size))
        expected = size.processes + meeting.gather(environment.hosts_timeout)
        with _spread(address, expected, meeting, programs, _shares(environment)):
            yield
    except BaseException as error:
        stopped = isinstance(error, Stopped)
        reason = f"{type(error).__name__}: {error}".partition("\n")[0][:500]
        meeting.end("stopped" if stopped else "failed", "" if stopped else reason)
        raise
    else:
        meeting.end("done")
    finally:
        dask_programs.end(*programs)


@contextmanager
def _spread(
    address: str, expected: int, meeting: Meeting, programs: Sequence[subprocess.Popen[bytes]], shared: str
) -> Iterator[None]:
    """Connect to the scheduler, wait for all workers and put joblib's Dask backend in force."""
    # Not before it is known that there are several hosts.
    import distributed  # noqa: PLC0415
    import joblib  # noqa: PLC0415

    from byoc.training.dask_backend import Backend  # noqa: PLC0415
    from byoc.training.dask_client import Client  # noqa: PLC0415

    begun = threading.Event()
    with _interrupted_if(lambda: _reason_to_give_up(meeting, programs, shared, begun=begun.is_set())):
        client = Client(address, timeout=JOINING, set_as_default=True)
        try:
            _wait_for_workers(client, expected)
            begun.set()
            threads = sum(client.nthreads().values())
            log.info("joblib's work is spread over %d hosts, %d threads", len(meeting.guests) + 1, threads)
            client.warm_up()
            with joblib.parallel_config(Backend(client=client)):
                yield
        except distributed.KilledWorker as error:
            raise ClusterError(
                f"a task's workers were killed one after another, most likely for want of memory: use an instance type "
                f"with more of it. {error}"
            ) from error
        except distributed.client.FutureCancelledError as error:
            raise ClusterError(f"the scheduler, or data that no other worker had, was lost: {error}") from error
        finally:
            with suppress(Exception):
                client.close(timeout=ENDING)


def _shares(environment: TrainingEnvironment) -> str:
    """Return the channel of which each host has a share that no other has, "" where there is none."""
    return next((name for name in environment.channels if cluster.is_sharded(environment, name)), "")


def _wait_for_workers(client: Any, expected: int) -> None:
    try:
        client.wait_for_workers(expected, timeout=JOINING)
    except TimeoutError as error:
        raise ClusterError(f"the workers of all hosts did not join within {JOINING:.0f} s: {error}") from error


def _reason_to_give_up(
    meeting: Meeting, programs: Sequence[subprocess.Popen[bytes]], shared: str, *, begun: bool
) -> str:
    for host in meeting.lost():
        if not begun:
            return f"host {host} was lost before the work began: see its own log"
        if shared:
            return f"host {host} is lost, and with it its share of channel '{shared}', which is ShardedByS3Key"
        log.warning("host %s is lost; its work goes to the others", host)
    scheduler, worker = programs
    if scheduler.poll() is not None:
        return f"the Dask scheduler ended with code {scheduler.returncode}"
    if worker.poll() is not None and not meeting.guests:
        return "no host with a Dask worker is left"
    return ""


@contextmanager
def _interrupted_if(reason: Callable[[], str]) -> Iterator[None]:
    """Run the block, and break it off as soon as there is a reason to.

    Raises:
        ClusterError: there was; it tells the reason.

    """
    over, found = threading.Event(), [""]

    def interrupt(_signum: int, _frame: FrameType | None) -> None:
        if not over.is_set():
            raise Broken(found[0])

    def watch() -> None:
        while not over.wait(POLL):
            found[0] = reason()
            if found[0]:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
                return

    before = signal.signal(signal.SIGUSR1, interrupt)
    thread = threading.Thread(target=watch, name="cluster", daemon=True)
    thread.start()
    try:
        yield
    except BaseException as error:
        over.set()
        # The next look at the hosts is from here.
        thread.join()
        if not isinstance(error, Stopped):
            # It may be a consequence, a client without its scheduler; that a program ended is known a moment later.
            time.sleep(0 if found[0] else POLL)
            if why := found[0] or reason():
                raise ClusterError(why) from error
        raise
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)


def serving(environment: TrainingEnvironment, notice: StopNotice) -> None:
    """Work for the first host until it ends.

    Raises:
        ClusterError: it cannot be reached, failed or is lost; or the worker here ended.
        Stopped: the job was stopped.

    """
    size = Size.of_host(machine.cpus(), machine.memory(), leads=False)
    leader = environment.hosts[0]
    seat = Seat(environment.current_host, leader, size.processes, environment.hosts_timeout)
    worker = dask_programs.worker(environment, f"tcp://{leader}:{dask_programs.PORT}", size)
    log.info("working for %s: %d processes of %d threads", leader, size.processes, size.threads)
    try:
        word = ""
        # Asking tells that the job ends by itself: the first host may still have a model to save.
        while not word:
            stopping = notice.requested
            try:
                word = seat.word(POLL)
            except ClusterError:
                if stopping:
                    break
                raise
            if not word and worker.poll() is not None and not stopping:
                word = seat.word(LAST_WORD)
                if not word:
                    code = worker.returncode
                    raise ClusterError(f"the Dask worker of {environment.current_host} ended with code {code}")
    finally:
        dask_programs.end(worker)
        seat.close()
    if word != "done":
        raise Stopped(notice.signum or signal.SIGTERM)
