"""Three hosts, each a container, on one network: the names of two come late (CONTRACT checks 17, 18 and 20)."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests import datasets, engine, program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.docker

HOSTS = ["algo-1", "algo-2", "algo-3"]
# The sample algorithm on hosts that first meet: nobody goes on until all have found one another.
TRAIN = """#!/usr/bin/env python3
import socket, sys, time
from byoc.training import Job, run


def meet(job):
    hosts, own = job.environment.hosts, job.environment.current_host
    if own == hosts[0]:
        with socket.create_server(("", 7777)) as server:
            others = [server.accept()[0] for _ in hosts[1:]]
            for each in others:
                each.sendall(b"go")
        return
    while True:
        try:
            with socket.create_connection((hosts[0], 7777), timeout=60) as leader:
                assert leader.recv(2) == b"go"
                return
        except ConnectionRefusedError:
            time.sleep(0.1)


def fit(job: Job) -> None:
    from tabular import training
    from tabular.options import Options

    job.wait_for_peers()
    meet(job)
    options = Options.read(job.hyperparameters)
    dataset = training.read(job, options)
    model = training.fit(job, options, dataset)
    training.save(job, options, model, dataset, training.judge(job, options, model, dataset))


sys.exit(run(fit))
"""


@contextmanager
def network() -> Iterator[str]:
    """Give a network in which containers know one another by name."""
    name = engine.unique()
    engine.docker("network", "create", name)
    try:
        yield name
    finally:
        engine.docker("network", "rm", name, check=False)


def place(net: str, host: str, ml: Path) -> list[str]:
    """Return the options of a container that is a host of a job: its network, its name there, and its /opt/ml."""
    return ["-v", f"{ml}:/opt/ml", "--network", net, "--network-alias", host, "--hostname", host]


def test_three_hosts_find_one_another_and_one_leaves_the_model(image: str, tmp_path: Path) -> None:
    (tmp_path / "train").write_text(TRAIN)
    (tmp_path / "train").chmod(0o755)
    try:
        with network() as net, ExitStack() as stack:
            containers = []
            for host in HOSTS:
                ml = program.write_job(
                    tmp_path / host, {"max_iter": "5"}, resourceconfig={"current_host": host, "hosts": HOSTS}
                )
                datasets.iris().write(ml / "input/data/training/iris.csv")
                options = [*place(net, host, ml), "-v", f"{tmp_path}/train:/opt/program/train:ro"]
                containers.append(stack.enter_context(engine.running(image, "train", options=options)))
                if host != HOSTS[-1]:
                    containers[-1].wait_for_log(f"waiting for host {HOSTS[HOSTS.index(host) + 1]}")
            for container in containers:
                assert container.wait(150) == 0, container.log()
    finally:
        engine.give_back(image, tmp_path)
    left = {host: sorted(path.name for path in (tmp_path / host / "model").iterdir()) for host in HOSTS}
    assert left == {"algo-1": ["metrics.json", "model.onnx", "model.skops", "schema.json"], "algo-2": [], "algo-3": []}
    for host in HOSTS:
        reports = [str(path.relative_to(tmp_path / host)) for path in (tmp_path / host / "output").rglob("*.html")]
        assert reports == [f"output/data/{host}/report.html"]
    assert json.loads((tmp_path / "algo-1/model/metrics.json").read_bytes())["metrics"]["accuracy"] > 0.9
