"""A training job on several hosts, as it runs on as many instances: containers that know each other by DNS."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from byoc_cli.doctor.check import Failed
from byoc_cli.doctor.engine import last_line
from byoc_cli.doctor.subject import TRAINING_SECONDS, Trained

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoc_cli.doctor.engine import Container
    from byoc_cli.doctor.subject import Subject

# In SageMaker's order, which is that of text: the rank of algo-10 is 1.
HOSTS = ("algo-1", "algo-10", "algo-2")
# Seconds for which the first host does not find the others.
LATE = 6.0


def train_on_hosts(subject: Subject) -> Mapping[str, Trained]:
    """Train on three hosts, the first of which is alone for a while; return each host's end by its name.

    Raises:
        Failed: a host did not end.
    """
    ends = {}
    with subject.engine.network() as network, ExitStack() as stack:
        jobs = {}
        for host in HOSTS:
            if host == HOSTS[1]:
                time.sleep(LATE)
            resources = {"current_host": host, "hosts": list(HOSTS), "network_interface_name": "eth0"}
            ml = subject.job(resources=resources)
            # The name belongs to an instance of its own: it stays known when the job on it has ended.
            instance = stack.enter_context(_start_instance(subject, network, host))
            container = subject.start_training(ml, "--network", f"container:{instance.name}")
            jobs[host] = ml, stack.enter_context(container)
        end = time.monotonic() + TRAINING_SECONDS
        for host, (ml, container) in jobs.items():
            code = container.wait(max(1.0, end - time.monotonic()))
            if code is None:
                raise Failed(
                    f"{host} did not end within {TRAINING_SECONDS} s; its last line: {last_line(container.log())}"
                )
            ends[host] = Trained(code, container.log(), ml)
    for trained in ends.values():
        subject.engine.own(trained.ml)
    return ends


def _start_instance(subject: Subject, network: str, host: str) -> Container:
    options = ("--network", network, "--network-alias", host, "--entrypoint", "sleep")
    return subject.engine.start(str(2 * TRAINING_SECONDS), options=options)
