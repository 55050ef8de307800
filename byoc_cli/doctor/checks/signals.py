"""Signals to a server, and the deaths of its processes: how it ends, and what it survives."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from byoc_cli.doctor.check import Failed, check, must, not_offered
from byoc_cli.doctor.engine import last_line
from byoc_cli.doctor.subject import variables

if TYPE_CHECKING:
    from byoc_cli.doctor.engine import Container, Process
    from byoc_cli.doctor.subject import Server, Subject

GRACE = 30  # seconds from SageMaker's SIGTERM to its SIGKILL in hosting
ANEW = 10  # seconds within which a worker is replaced
LONG = 1.5  # seconds that a request takes which is to be in flight
RECYCLES = 100
RECYCLING = 25  # seconds that so many ends of workers may take
OK = 200


def long_request(subject: Subject, server: Server) -> bytes:
    """Return a good request that takes a while; ends the check where the largest the image takes does not."""
    for megabytes in (1, 3, 6, 12, 24):
        body = subject.large(megabytes)
        start = time.monotonic()
        answer = server.post(body, {"Content-Type": subject.content_type})
        took = time.monotonic() - start
        if answer.status != OK or took > LONG:
            break
    if answer.status != OK or took <= LONG:
        not_offered(f"no request takes longer than {LONG} s, so that none is in flight; name a slower one by --payload")
    return body


def refused(subject: Subject, server: Server, seconds: float) -> str:
    """Send good requests until one is not served any more; return by what, "" where all were."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            answer = server.post(subject.payload, {"Content-Type": subject.content_type}, timeout=seconds)
        except Failed:
            return "refused"
        if answer.status != OK:
            return f"answered {answer.status}"
        time.sleep(0.1)
    return ""


@check(
    39, "M", "SIGTERM while the server answers a request that takes long",
    expected="that one is answered with 200, new ones are refused, exit code 0 within 30 s",
    advice="stop accepting, finish what is in flight, then end with 0: gunicorn needs SIGTERM, nginx SIGQUIT",
    alone=True,
)  # fmt: skip
def check_39_drains(subject: Subject) -> str:
    """As when an endpoint is scaled in or updated."""
    server = subject.serve()
    with server.container as container, ThreadPoolExecutor(1) as pool:
        body = long_request(subject, server)
        answer = pool.submit(server.post, body, {"Content-Type": subject.content_type})
        time.sleep(LONG / 2)
        must(not answer.done(), "the same request was answered sooner the second time: none is in flight")
        container.kill("TERM")
        start = time.monotonic()
        later = refused(subject, server, GRACE)
        try:
            status = answer.result().status
        except Failed as failed:
            raise Failed(f"the request in flight: {failed}") from failed
        code = container.wait(max(1.0, start + GRACE - time.monotonic()))
        took = time.monotonic() - start
    must(status == OK, f"the request in flight was answered {status}")
    must(code is not None, f"it still ran {GRACE} s after SIGTERM")
    must(later, "new requests were served until the end")
    must(code == 0, f"exit code {code} after {took:.1f} s")
    return f"in flight: {status}; a new one: {later}; exit code 0 after {took:.1f} s"


def masters(server: Server, name: str) -> list[Process]:
    """Return the processes called so whose parent is not, without PID 1."""
    processes = server.container.processes()
    named = {process.pid for process in processes if name in process.name or name in process.arguments}
    return [process for process in processes if process.pid in named - {1} and process.parent not in named - {1}]


@check(
    40, "M", "killed nginx, then (in another server) gunicorn",
    expected="the container ends within 5 s, with another code than 0, so that SageMaker replaces it",
    advice="wait for all children in PID 1 and end, non-zero, as soon as any of them does",
    timed=True,
)  # fmt: skip
def check_40_half_a_server_ends(subject: Subject) -> str:
    """A container that lives on without its server is never replaced."""
    seen = []
    for name in ("nginx", "gunicorn"):
        server = subject.serve()
        with server.container as container:
            found = masters(server, name)
            if not found:
                continue
            container.kill("KILL", found[0].pid)
            start = time.monotonic()
            code = container.wait(7)
            took = time.monotonic() - start
            must(code is not None, f"{name} was killed, and the container lives on")
            must(code != 0, f"{name} was killed, and the container ended with 0")
            must(took <= 5, f"{name} was killed, and the container took {took:.1f} s to end")
            seen.append(f"{name}: exit code {code} after {took:.1f} s")
    if not seen:
        not_offered("neither nginx nor gunicorn runs as a child of PID 1")
    return "; ".join(seen)


@check(
    41, "S", "killed a worker",
    expected="it is replaced, /ping comes back to 200 and predictions are answered",
    advice="let a master process (gunicorn) start workers anew",
    timed=True,
)  # fmt: skip
def check_41_worker_is_replaced(subject: Subject) -> str:
    """As the kernel does when memory is short."""
    server = subject.serve()
    with server.container as container:
        before = workers(container)
        if not before:
            not_offered("the server is one process")
        container.kill("KILL", before[-1])
        start = time.monotonic()
        while len(now := workers(container)) < len(before) or before[-1] in now:
            must(time.monotonic() - start < ANEW, f"{len(before)} workers, {len(now)} {ANEW} s after one was killed")
            time.sleep(0.2)
        server.wait_ready(GRACE)
        took = time.monotonic() - start
        for _ in range(20):
            subject.ask(server)
    return f"replaced and ready within {took:.1f} s, then 20 good answers"


def workers(container: Container) -> list[int]:
    """Return the living processes without children, but for nginx and PID 1."""
    processes = [process for process in container.processes() if process.state != "Z"]
    parents = {process.parent for process in processes} | {1}
    return [process.pid for process in processes if process.pid not in parents and "nginx" not in process.arguments]


@check(
    42, "S", "ended workers, one after another, as often as 100 times",
    expected="no zombie is left",
    advice="wait for every child that ends, in PID 1 for those that it inherits too",
    timed=True,
)  # fmt: skip
def check_42_no_zombies(subject: Subject) -> str:
    """In order, by SIGTERM: a server may well end when its workers crash so often."""
    server = subject.serve(*variables({"MODEL_SERVER_WORKERS": "4"}))
    with server.container as container:
        ended, end = 0, time.monotonic() + RECYCLING
        while ended < RECYCLES and time.monotonic() < end and (found := workers(container)):
            container.kill("TERM", *found)
            ended += replaced(container, found)
        must(ended or container.state()["Running"], f"the server ended: {last_line(container.log())}")
        if not ended:
            not_offered("the server is one process, or its workers do not end by SIGTERM")
        zombies = left_zombies(container)
        must(container.state()["Running"], f"the server ended: {last_line(container.log())}")
    must(not zombies, f"{len(zombies)} zombies after {ended} workers: {', '.join(sorted(set(zombies)))}")
    return f"none after {ended} workers"


def replaced(container: Container, workers_before: list[int]) -> int:
    """Wait until workers have ended and others are there, two seconds at most; return how many ended."""
    end = time.monotonic() + 2
    while True:
        now = workers(container)
        ended = len(set(workers_before).difference(now))
        if (ended == len(workers_before) <= len(now)) or time.monotonic() > end:
            return ended
        time.sleep(0.05)


def left_zombies(container: Container) -> list[str]:
    """Return the names of the zombies that nobody has waited for within two seconds."""
    end = time.monotonic() + 2
    while True:
        found = [process.name for process in container.processes() if process.state == "Z"]
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.2)


@check(
    43, "S", "sent the server SIGHUP, SIGWINCH and SIGINT",
    expected="it goes on answering; after SIGINT it may end in order",
    advice="ignore SIGHUP and SIGWINCH in PID 1: gunicorn reloads, and stops its workers, by them",
)  # fmt: skip
def check_43_other_signals(subject: Subject) -> str:
    """Terminals send them."""
    server = subject.serve()
    with server.container as container:
        for signal in ("HUP", "WINCH"):
            container.kill(signal)
            must(container.wait(2) is None, f"SIG{signal} ended the container")
            server.wait_ready(GRACE)
            subject.ask(server)
        container.kill("INT")
        code = container.wait(3)
        if code is None:
            server.wait_ready(GRACE)
            subject.ask(server)
            return "all three survived"
    must(code in {0, 130}, f"SIGINT ended it with exit code {code}")
    return f"SIGHUP and SIGWINCH survived; ended by SIGINT with {code}"
