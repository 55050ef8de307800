"""Signals to a training job: how it ends when it is told to, and what it leaves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from byoc_cli.doctor.check import Failed, check, must, not_offered
from byoc_cli.doctor.subject import Trained

if TYPE_CHECKING:
    from byoc_cli.doctor.engine import Container
    from byoc_cli.doctor.subject import Subject

NOTICE = 120  # seconds from SageMaker's SIGTERM to its SIGKILL
STOPPED = (0, 143)
KILLED = 137
COPIES = 4000  # of the data, so that training lasts long enough to be stopped
BEGINNING, MIDDLE = 1, 4  # seconds from the start of such a job


def stopped(container: Container, seconds: float, *, again: bool = False) -> tuple[int, float]:
    """Send SIGTERM, and soon once more where `again`; return the exit code and how long the end took."""
    container.kill("TERM")
    start = time.monotonic()
    code = container.wait(0.3) if again else None
    if again and code is None:
        container.kill("TERM")
    code = container.wait(seconds) if code is None else code
    took = time.monotonic() - start
    if code is None:
        raise Failed(f"it still ran {seconds:.0f} s after SIGTERM")
    return code, took


def stop_training(subject: Subject, after: float, seconds: float, *, again: bool = False) -> tuple[int, float, Trained]:
    """Stop a long job so many seconds after its start; return the code, how long the end took, and what is left."""
    ml = subject.job(copies=COPIES)
    with subject.start_training(ml) as container:
        if container.wait(after) is not None:
            not_offered("training on much data ended before it could be stopped; name slower data by --data")
        code, took = stopped(container, seconds, again=again)
        log = container.log()
    subject.engine.own(ml)
    return code, took, Trained(code, log, ml)


@check(
    36, "M", "SIGTERM in the middle of training, then served what it left",
    expected="it ends within 120 s with exit code 0 or 143, and /opt/ml/model is empty or can be served",
    advice="handle SIGTERM in PID 1: save the best model so far, then end; SIGKILL comes 120 s later",
)  # fmt: skip
def check_36_stop_training(subject: Subject) -> str:
    """A job that is stopped, or a spot instance that is taken away."""
    code, took, trained = stop_training(subject, MIDDLE, NOTICE)
    must(code in STOPPED, f"exit code {code} after {took:.1f} s")
    if not trained.model_files:
        return f"exit code {code} after {took:.1f} s, no model"
    assert subject.server
    names = ", ".join(path.name for path in trained.model_files)
    try:
        server = subject.serve(model=trained.ml / "model")
    except Failed as failed:
        raise Failed(f"what it left, {names}, cannot be served: {failed}") from failed
    with server.container:
        subject.ask(server)
    return f"exit code {code} after {took:.1f} s; the model that it left answers"


@check(
    37, "M", "SIGTERM right after the start of training, and twice in the middle of it",
    expected="it ends within 120 s, exit code 0 or 143",
    advice="handle SIGTERM before anything else, end your own children, and take a second one as a call to hurry",
)  # fmt: skip
def check_37_stop_early_and_twice(subject: Subject) -> str:
    """Before the first epoch, and while the best model is being saved."""
    seen = []
    for words, after, again in (("at the start", BEGINNING, False), ("twice in the middle", MIDDLE, True)):
        code, took, _ = stop_training(subject, after, NOTICE, again=again)
        must(code in STOPPED, f"{words}: exit code {code} after {took:.1f} s")
        seen.append(f"{words}: exit code {code} after {took:.1f} s")
    return "; ".join(seen)


@check(
    38, "M", "`docker stop` in the middle of training",
    expected="PID 1 gets the signal: it ends within 10 s, not by SIGKILL (137)",
    advice="use the exec form, or `exec` in a shell script; PID 1 ignores signals that it has no handler for",
)  # fmt: skip
def check_38_pid_1_gets_the_signal(subject: Subject) -> str:
    """A shell in between swallows it."""
    code, took, _ = stop_training(subject, MIDDLE, 10)
    must(code != KILLED, f"exit code {code} after {took:.1f} s")
    return f"exit code {code} after {took:.1f} s"
