"""Hosts with the extra `cluster`, each a container with its own limits: one trains, the others work for it."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests import datasets, engine, program
from tests.image.test_hosts import HOSTS, network

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.docker

LIMITS = ["--memory", "1g", "--cpus", "1"]
SPACE = {"max_depth": [3, 5, 9, None], "ccp_alpha": {"low": 1e-4, "high": 0.1, "log": True}}
# Ends a program of a container's by SIGKILL, itself excepted.
KILL = """
import os, pathlib, signal, sys
for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    if sys.argv[1].encode() in entry.read_bytes() and int(entry.parent.name) != os.getpid():
        os.kill(int(entry.parent.name), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def wide() -> Iterator[str]:
    """An image with the extra."""
    engine.require()
    name = engine.unique()
    build = engine.build(name, arguments={"EXTRAS": "cluster"})
    assert build.returncode == 0, build.stderr
    yield name
    engine.docker("rmi", "--force", name)


def write(base: Path, candidates: int, host: str, hosts: Sequence[str]) -> Path:
    """Lay out a host's /opt/ml: a search on digits, large enough to be put on every worker."""
    hyperparameters = {
        "estimator": "DecisionTreeClassifier",
        "search": json.dumps({"space": SPACE, "n_iter": candidates, "cv": 3}),
    }
    ml = program.write_job(base / host, hyperparameters, resourceconfig={"current_host": host, "hosts": hosts})
    datasets.digits().write(ml / "input/data/training/digits.csv")
    return ml


@contextmanager
def job(image: str, base: Path, candidates: int, started: Sequence[str] = HOSTS, *options: str) -> Iterator[dict]:
    """Start hosts of a job of three; give their containers by name. All are gone and their files ours afterwards."""
    try:
        with network() as net, ExitStack() as stack:
            containers = {}
            for host in started:
                ml = write(base, candidates, host, HOSTS)
                names = ["--network", net, "--network-alias", host, "--hostname", host]
                given = ["-v", f"{ml}:/opt/ml", *LIMITS, *names, *options]
                containers[host] = stack.enter_context(engine.running(image, "train", options=given))
            yield containers
    finally:
        engine.give_back(image, base)


def model(ml: Path) -> dict[str, bytes]:
    """Return what a model predicts by, and what it was made with."""
    schema = json.loads((ml / "model/schema.json").read_bytes())
    return {"made": schema, "onnx": (ml / "model/model.onnx").read_bytes()}


@pytest.fixture(scope="module")
def alone(wide: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The model of the same search on one host, which does not even import Dask."""
    folder = tmp_path_factory.mktemp("alone")
    ml = write(folder, 40, "algo-1", ["algo-1"])
    command = ("python3", "-X", "importtime", "/opt/program/train")
    done = engine.run(wide, *command, options=["-v", f"{ml}:/opt/ml", *LIMITS])
    engine.give_back(wide, folder)
    assert done.returncode == 0, done.stderr
    imported = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time")]
    assert "joblib" in imported
    assert not {"dask", "distributed"} & set(imported)
    return model(ml)


def failure(base: Path, host: str) -> str:
    return (base / host / "output/failure").read_text()


def test_a_search_on_three_hosts_finds_what_one_finds(wide: str, alone: dict[str, bytes], tmp_path: Path) -> None:
    """The same best parameters and the same model to the bit; only the first host leaves one."""
    with job(wide, tmp_path, 40) as containers:
        for container in containers.values():
            assert container.wait(90) == 0, container.log()
        log = containers["algo-1"].log()
    assert "spread over 3 hosts, 3 threads" in log
    assert "search: 120 of 120 fits" in log
    assert "search:best_score=0." in log
    assert model(tmp_path / "algo-1") == alone
    assert [list((tmp_path / host / "model").iterdir()) for host in HOSTS[1:]] == [[], []]
    assert not list(tmp_path.glob("*/output/failure"))


def test_a_host_and_a_worker_killed_in_mid_fit_are_survived(wide: str, alone: dict[str, bytes], tmp_path: Path) -> None:
    with job(wide, tmp_path, 40) as containers:
        containers["algo-1"].wait_for_log("search: 1 of 120 fits")
        engine.docker("kill", containers["algo-3"].name)
        containers["algo-2"].python(KILL, "spawn_main")
        codes = {host: containers[host].wait(90) for host in HOSTS[:2]}
        log = containers["algo-1"].log()
    if "with data that no other had yet" in log:
        # Killed while the data was still on its way to the others: then the job ends, everywhere and with that reason.
        assert codes == {"algo-1": 1, "algo-2": 1}, log
        return
    assert codes == {"algo-1": 0, "algo-2": 0}, log
    assert "host algo-3 is lost; its work goes to the others" in log
    assert model(tmp_path / "algo-1") == alone


def test_without_its_scheduler_a_job_fails_on_every_host(wide: str, tmp_path: Path) -> None:
    with job(wide, tmp_path, 5000) as containers:
        containers["algo-1"].wait_for_log("search: 1 of 15000 fits")
        containers["algo-1"].python(KILL, "dask_scheduler")
        codes = [container.wait(60) for container in containers.values()]
        log = containers["algo-1"].log()
    assert codes == [1, 1, 1], log
    assert failure(tmp_path, "algo-1") == "ClusterError: the Dask scheduler ended with code -9"
    for host in HOSTS[1:]:
        assert "training failed on host algo-1: ClusterError: the Dask scheduler" in failure(tmp_path, host)


def test_without_its_first_host_a_job_fails_on_the_others(wide: str, tmp_path: Path) -> None:
    with job(wide, tmp_path, 5000) as containers:
        containers["algo-1"].wait_for_log("search: 1 of 15000 fits")
        engine.docker("kill", containers["algo-1"].name)
        codes = [containers[host].wait(60) for host in HOSTS[1:]]
    assert codes == [1, 1]
    for host in HOSTS[1:]:
        assert failure(tmp_path, host) == "ClusterError: host algo-1, which leads, is lost: see its own log"


@pytest.mark.parametrize("missing", ["algo-1", "algo-3"])
def test_a_host_that_never_comes_fails_the_job_on_all_others(wide: str, tmp_path: Path, missing: str) -> None:
    there = [host for host in HOSTS if host != missing]
    with job(wide, tmp_path, 40, there, "-e", "BYOC_HOSTS_TIMEOUT=8") as containers:
        codes = [container.wait(60) for container in containers.values()]
    assert codes == [1, 1]
    for host in there:
        assert f"host {missing}" in failure(tmp_path, host)


def test_a_stop_of_all_ends_all(wide: str, tmp_path: Path) -> None:
    with job(wide, tmp_path, 5000) as containers:
        containers["algo-1"].wait_for_log("search: 1 of 15000 fits")
        engine.docker("kill", "--signal", "TERM", *(container.name for container in containers.values()))
        codes = [container.wait(30) for container in containers.values()]
        logs = "".join(container.log() for container in containers.values())
    assert codes == [143, 143, 143], logs
    assert not list(tmp_path.glob("*/output/failure"))
