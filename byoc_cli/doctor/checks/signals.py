"""Signals: how jobs and servers end, and what they survive."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from byoc_cli.doctor.check import Failed, check, must, not_offered

if TYPE_CHECKING:
    from pathlib import Path

    from byoc_cli.doctor.engine import Container, Process
    from byoc_cli.doctor.subject import Server, Subject

NOTICE = 120  # seconds from SageMaker's SIGTERM to its SIGKILL in training
GRACE = 30  # the same in hosting
STOPPED = (0, 143)
COPIES = 4000  # of the data, so that training lasts long enough to be stopped
OK = 200


def long_job(subject: Subject) -> Path:
    """Return an /opt/ml with much more data."""
    ml = subject.job()
    for file in (ml / "input/data/training").rglob("*.csv"):
        text = file.read_text()
        file.write_text(text * COPIES)
    return ml


def stopped(container: Container, seconds: float, *, again: bool = False) -> tuple[int, float]:
    """Send SIGTERM, and once more after a second where `again`; return the exit code and how long the end took."""
    container.kill("TERM")
    start = time.monotonic()
    code = container.wait(1) if again else None
    if again and code is None:
        container.kill("TERM")
    code = container.wait(seconds) if code is None else code
    took = time.monotonic() - start
    if code is None:
        raise Failed(f"it still ran {seconds:.0f} s after SIGTERM")
    return code, took


@check(
    36, "M", "SIGTERM in the middle of training",
    expected="it ends within 120 s, with a model or without one, exit code 0 or 143",
    advice="handle SIGTERM in PID 1: save the best model so far, then end; SIGKILL comes 120 s later",
)  # fmt: skip
def check_36_stop_training(subject: Subject) -> str:
    """A job that is stopped, or a spot instance that is taken away."""
    ml = long_job(subject)
    with subject.start_training(ml) as container:
        if container.wait(4) is not None:
            not_offered("training on much data ended before it could be stopped; name slower data by --data")
        code, took = stopped(container, NOTICE)
    subject.engine.own(ml)
    must(code in STOPPED, f"exit code {code} after {took:.1f} s")
    files = sum(path.is_file() for path in (ml / "model").rglob("*"))
    return f"exit code {code} after {took:.1f} s, {files} model files"


@check(
    37, "M", "SIGTERM twice, right after the start of training",
    expected="it ends within 120 s",
    advice="handle SIGTERM before anything else, and a second one as a call to hurry",
)  # fmt: skip
def check_37_stop_twice(subject: Subject) -> str:
    """Before the first epoch."""
    with subject.start_training(long_job(subject)) as container:
        if container.wait(1) is not None:
            not_offered("training ended before it could be stopped; name slower data by --data")
        code, took = stopped(container, NOTICE, again=True)
    return f"exit code {code} after {took:.1f} s"


@check(
    38, "M", "`docker stop` in the middle of training",
    expected="PID 1 gets the signal: it ends within 10 s, not by SIGKILL (137)",
    advice="use the exec form, or `exec` in a shell script; PID 1 ignores signals that it has no handler for",
)  # fmt: skip
def check_38_pid_1_gets_the_signal(subject: Subject) -> str:
    """A shell in between swallows it."""
    with subject.start_training(long_job(subject)) as container:
        if container.wait(3) is not None:
            not_offered("training ended before it could be stopped; name slower data by --data")
        code, took = stopped(container, 10)
    must(code != 137, f"exit code 137 after {took:.1f} s")
    return f"exit code {code} after {took:.1f} s"


@check(
    39, "M", "SIGTERM while the server answers a large request",
    expected="the request is answered with 200, later ones are refused, exit code 0 within 30 s",
    advice="stop accepting, finish what is in flight, then end with 0: gunicorn needs SIGTERM, nginx SIGQUIT",
)  # fmt: skip
def check_39_drains(subject: Subject) -> str:
    """As when an endpoint is scaled in or updated."""
    body = subject.large(3)
    server = subject.serve()
    with server.container as container, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.post, body, {"Content-Type": subject.content_type})
        time.sleep(0.4)
        in_flight = not answer.done()
        code, took = stopped(container, GRACE)
        status = answer.result().status
    must(status == OK, f"the request in flight was answered {status}")
    must(code == 0, f"exit code {code} after {took:.1f} s")
    return f"{'in flight' if in_flight else 'just answered'}: {status}; exit code 0 after {took:.1f} s"


def masters(server: Server, name: str) -> list[Process]:
    """Return the processes called so whose parent is not, without PID 1."""
    processes = server.container.processes()
    named = {process.pid for process in processes if name in process.name or name in process.arguments}
    return [process for process in processes if process.pid in named - {1} and process.parent not in named - {1}]


@check(
    40, "M", "killed nginx, then (in another server) gunicorn",
    expected="the container ends within 5 s, with another code than 0, so that SageMaker replaces it",
    advice="wait for all children in PID 1 and end, non-zero, as soon as any of them does",
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
            container.shell(f"kill -9 {found[0].pid}")
            start = time.monotonic()
            code = container.wait(10)
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
)  # fmt: skip
def check_41_worker_is_replaced(subject: Subject) -> str:
    """As the kernel does when memory is short."""
    server = subject.serve()
    with server.container as container:
        before = workers(container)
        if not before:
            not_offered("the server is one process")
        container.shell(f"kill -9 {before[-1]}")
        start = time.monotonic()
        while len(now := workers(container)) < len(before) or before[-1] in now:
            must(time.monotonic() - start < GRACE, f"{len(before)} workers, {len(now)} {GRACE} s after one was killed")
            time.sleep(0.2)
        server.wait_ready(GRACE)
        took = time.monotonic() - start
        for _ in range(20):
            subject.ask(server)
        zombies = [process.name for process in container.processes() if process.state == "Z"]
    must(not zombies, f"zombies are left: {', '.join(zombies)}")
    return f"replaced and ready within {took:.1f} s, then 20 good answers"


def workers(container: Container) -> list[int]:
    """Return the living processes without children, but for nginx and PID 1."""
    processes = [process for process in container.processes() if process.state != "Z"]
    parents = {process.parent for process in processes} | {1}
    return [process.pid for process in processes if process.pid not in parents and "nginx" not in process.arguments]


@check(
    43, "S", "sent the server SIGHUP and SIGWINCH",
    expected="it goes on answering",
    advice="ignore both in PID 1; gunicorn stops its workers on SIGWINCH when it is a daemon",
)  # fmt: skip
def check_43_other_signals(subject: Subject) -> str:
    """Terminals send them."""
    server = subject.serve()
    with server.container as container:
        for signal in ("HUP", "WINCH"):
            container.kill(signal)
            time.sleep(1)
            must(container.state()["Running"], f"SIG{signal} ended the container")
            server.wait_ready(GRACE)
            subject.ask(server)
    return "both survived"
