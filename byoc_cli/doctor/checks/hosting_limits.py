"""Hosting: settings of the server, and what its container is denied."""

from __future__ import annotations

import os
import time
from collections import Counter
from concurrent.futures import wait
from typing import TYPE_CHECKING

from byoc_cli.doctor import inside
from byoc_cli.doctor.check import Failed, check, must, not_offered
from byoc_cli.doctor.slow import slowed
from byoc_cli.doctor.subject import variables

if TYPE_CHECKING:
    from byoc_cli.doctor.engine import Container, Process
    from byoc_cli.doctor.subject import Server, Subject

OK = 200
MOST_WORKERS = 3  # two a CPU and one, gunicorn's rule of thumb
NO_NETWORK_SECONDS = 5
DEADLINE = 5
GIVE_UP = 25


def settled(container: Container) -> list[Process]:
    """Return the container's processes but nginx's, once their number stays: workers start one after the other."""
    end, last, found = time.monotonic() + 20, -1, container.processes()
    while last != len(found) and time.monotonic() < end:
        time.sleep(1.5)
        last, found = len(found), container.processes()
    return [process for process in found if "nginx" not in process.arguments]


@check(
    58, "M", "served with MODEL_SERVER_WORKERS=1 and 3",
    expected="two processes more with three workers than with one",
    advice="start as many workers as MODEL_SERVER_WORKERS says",
)  # fmt: skip
def check_58_workers(subject: Subject) -> str:
    """What CreateModel's Environment sets."""
    counts = []
    for workers in ("1", "3"):
        server = subject.serve(*variables({"MODEL_SERVER_WORKERS": workers}))
        with server.container as container:
            counts.append(len(settled(container)))
    must(counts[1] - counts[0] == 2, f"{counts[0]} processes, then {counts[1]}")
    return f"{counts[0]} processes with one, {counts[1]} with three"


@check(
    59, "S", "served with one CPU and 1 GB, and MODEL_SERVER_WORKERS unset",
    expected=f"at most {MOST_WORKERS} workers, and it predicts",
    advice="take the number of workers from the cgroup's CPU quota and memory, not from the machine's",
)  # fmt: skip
def check_59_default_workers(subject: Subject) -> str:
    """Machines have more than a container gets; on a small one of ours there is little to see."""
    server = subject.serve("--cpus=1", "--memory=1g")
    with server.container as container:
        siblings = Counter((process.parent, process.arguments) for process in settled(container))
        workers = max(siblings.values())
        must(workers <= MOST_WORKERS, f"{workers} workers on one CPU of {os.cpu_count()}")
        subject.ask(server)
        must(not container.state()["OOMKilled"], "it ran out of memory")
    return f"{workers} workers on one CPU of {os.cpu_count()}"


@check(
    60, "M", "served as a serverless endpoint does",
    expected="it predicts as any user, with a read-only root, 1 GB of memory and nothing but /tmp to write to",
    advice="write to /tmp only, let everybody read the program, and do without shared memory",
)  # fmt: skip
def check_60_serverless(subject: Subject) -> str:
    """A file that only root may read is the common failure."""
    limits = ("--user=12345:12345", "--read-only", "--tmpfs=/tmp", "--memory=1g", "--shm-size=1k")
    server = subject.serve(*limits)
    with server.container:
        return f"{len(subject.ask(server))} bytes of predictions"


@check(
    61, "M", "served without a network",
    expected="it starts no later than with one, pings and predicts, seen from inside",
    advice="download nothing, look no names up, and ask no metadata service at the start",
    alone=True,
)  # fmt: skip
def check_61_network_isolation(subject: Subject) -> str:
    """EnableNetworkIsolation; asked by the container's own Python."""
    took = []
    for network in ("bridge", "none"):
        options = (f"--network={network}", "--volume", f"{subject.model}:/opt/ml/model:ro")
        with subject.engine.start("serve", options=options) as container:
            took.append(inside.wait_ready(subject, container))
            answer = inside.ask(container, "POST", "/invocations", subject.content_type, subject.payload)
            must(answer.status == OK, f"/invocations answered {answer.summary}")
    seen = f"ready after {took[1]:.1f} s, and with a network after {took[0]:.1f} s"
    must(took[1] - took[0] < NO_NETWORK_SECONDS, seen)
    return seen


@check(
    62, "S", "served with MODEL_SERVER_TIMEOUT=5, and sent a request that outlasts it, by slowing the container down",
    expected=f"5xx within {GIVE_UP} s, and 200 again afterwards",
    advice="give a request up at a deadline of your own, before SageMaker does after 60 s, and free its worker",
    timed=True,
)  # fmt: skip
def check_62_deadline(subject: Subject) -> str:
    """A worker that nobody waits for any more is lost to the others."""
    server = subject.serve(*variables({"MODEL_SERVER_TIMEOUT": str(DEADLINE), "MODEL_SERVER_WORKERS": "1"}))
    with server.container:
        with slowed(server, 0.05, subject.large(10), subject.content_type) as (request, sent):
            wait([request], GIVE_UP)
            took, in_time = time.monotonic() - sent, request.done()
        answer = request.result()
        if not in_time:
            not_offered(f"after {took:.0f} s there was no answer yet: MODEL_SERVER_TIMEOUT is no deadline")
        if answer.status == OK:
            not_offered(f"no request lasted {DEADLINE} s: the slowest took {took:.1f} s")
        must(answer.status >= 500, f"answered {answer.summary}")
        return f"{answer.status} after {took:.1f} s, 200 again {recovered(subject, server):.1f} s later"


def recovered(subject: Subject, server: Server) -> float:
    """Return after how many seconds a good request is answered with 200.

    Raises:
        Failed: not within 30 s.
    """
    start = time.monotonic()
    while True:
        try:
            subject.ask(server)
        except Failed as failed:
            if time.monotonic() - start > 30:
                raise Failed(f"30 s later the worker is not free yet: {failed}") from failed
            time.sleep(0.5)
        else:
            return time.monotonic() - start
