"""Hosts with the extra `cluster`, each a container with its own limits: one trains, the others work for it."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pytest

from tests import datasets, engine, program
from tests.image.test_hosts import HOSTS, network, place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from tests.engine import Container

pytestmark = pytest.mark.docker

LIMITS = ["--memory", "1g", "--cpus", "1"]
# In SageMaker's order, which is that of text.
FOUR = ["algo-1", "algo-10", "algo-2", "algo-3"]
SPACE = {"max_depth": [3, 5, 9, None], "ccp_alpha": {"low": 1e-4, "high": 0.1, "log": True}}
# A search that is over in seconds, and one that is not before a test is.
SHORT, LONG = 100, 5000
BEGUN = "search: 1 of "
# Ends a program of a container's by SIGKILL, itself excepted.
KILL = """
import os, pathlib, signal, sys
for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    try:
        if sys.argv[1].encode() in entry.read_bytes() and int(entry.parent.name) != os.getpid():
            os.kill(int(entry.parent.name), signal.SIGKILL)
    except OSError:
        pass  # it ended meanwhile
"""
OWN = """#!/usr/bin/env python3
import sys
from byoc.training import Job, run


def fit(job: Job) -> None:
    {}


sys.exit(run(fit))
"""
# What scikit-learn gives to joblib: trees of a forest, folds of a cross-validation, candidates of a search.
SPREAD = """import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.tree import DecisionTreeClassifier

    def score(model, features, labels):
        print("scored here", flush=True)
        return model.score(features, labels)

    data = load_digits(return_X_y=True)
    forest = RandomForestClassifier(40, random_state=0, n_jobs=-1).fit(*data)
    folds = cross_val_score(forest, *data, cv=6, scoring=score, n_jobs=-1)
    depths = {"max_depth": [2, 5, 9]}
    search = GridSearchCV(DecisionTreeClassifier(random_state=0), depths, scoring=score, n_jobs=-1).fit(*data)
    found = {"folds": folds, "search": search.cv_results_["mean_test_score"], "best": search.predict_proba(data[0])}
    np.savez(job.model_dir / "found.npz", forest=forest.predict_proba(data[0]), **found)"""
# A function and its argument, one of which is a lock, that can be sent to no other process.
LOCK = """import joblib, threading
    joblib.Parallel(n_jobs=-1)(joblib.delayed({})({}) for _ in range(2))"""
LOCK_IN_A_TASK = """import joblib, threading
    def spread():
        joblib.Parallel(n_jobs=-1)(joblib.delayed(threading.Lock)() for _ in range(2))

    joblib.Parallel(n_jobs=-1)(joblib.delayed(spread)() for _ in range(2))"""
# Needs more memory than there is; and leaves much of it taken, but not too much, between its tasks.
EAT = """import joblib

    def eat():
        kept = []
        while True:
            kept.append(b"x" * (64 << 20))

    joblib.Parallel(n_jobs=-1)(joblib.delayed(eat)() for _ in range(2))"""
HOARD = """import joblib

    def hoard():
        import builtins, time
        import distributed, psutil
        if not hasattr(builtins, "hoarded"):
            limit = distributed.get_worker().memory_manager.memory_limit
            builtins.hoarded = b"x" * int(0.87 * limit - psutil.Process().memory_info().rss)
        time.sleep(0.5)

    joblib.Parallel(n_jobs=-1, batch_size=1)(joblib.delayed(hoard)() for _ in range(8))
    (job.model_dir / "done").touch()"""


class Cluster:
    """A job's hosts, each a container that trains on digits, enough of them to be put on every worker.

    All are gone at the end of the with-block, and their files are ours.

    Args:
        image: with the extra.
        base: a folder for the /opt/ml of each.
        hosts: their names, in the order that each is told.
        candidates: of the search that is the job.
        code: what `fit` does instead.
        options: of `docker run`.
    """

    def __init__(
        self,
        image: str,
        base: Path,
        hosts: Sequence[str] = HOSTS,
        *,
        candidates: int = SHORT,
        code: str = "",
        options: Sequence[str] = (),
    ) -> None:
        self.image, self.base, self.hosts, self.candidates = image, base, hosts, candidates
        self.options = [*LIMITS, *options]
        if code:
            file = base / "train"
            file.parent.mkdir(exist_ok=True)
            file.write_text(OWN.format(code))
            file.chmod(0o755)
            self.options += ["-v", f"{file}:/opt/program/train:ro"]
        self.containers: dict[str, Container] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.callback(engine.give_back, self.image, self.base)
        self._network = self._stack.enter_context(network())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def start(self, *hosts: str) -> None:
        """Start the hosts that are named, all where none is."""
        for host in hosts or self.hosts:
            hyperparameters = {
                "estimator": "DecisionTreeClassifier",
                "search": json.dumps({"space": SPACE, "n_iter": self.candidates, "cv": 3}),
            }
            resources = {"current_host": host, "hosts": list(self.hosts)}
            ml = program.write_job(self.base / host, hyperparameters, resourceconfig=resources)
            datasets.digits().write(ml / "input/data/training/digits.csv")
            options = [*self.options, *place(self._network, host, ml)]
            container = engine.running(self.image, "train", options=options)
            self.containers[host] = self._stack.enter_context(container)

    def begin(self) -> Container:
        """Start all hosts and wait until the first of them fits; return it."""
        self.start()
        self.first.wait_for_log(BEGUN, 120)
        return self.first

    @property
    def first(self) -> Container:
        """The host that leads."""
        return self.containers[self.hosts[0]]

    def signal(self, name: str, *hosts: str) -> None:
        """Send a signal to the hosts that are named, to all where none is."""
        engine.docker("kill", "--signal", name, *(self.containers[host].name for host in hosts or self.containers))

    def codes(self) -> dict[str, int]:
        """Wait for the end of all that were started; return their exit codes."""
        return {host: container.wait(150) for host, container in self.containers.items()}

    def failure(self, host: str) -> str:
        """Return why a host failed, "" if it did not say."""
        file = self.base / host / "output/failure"
        return file.read_text() if file.exists() else ""


def model(ml: Path) -> dict[str, Any]:
    """Return what a model predicts by, and what it was made with."""
    schema = json.loads((ml / "model/schema.json").read_bytes())
    return {"made": schema, "onnx": (ml / "model/model.onnx").read_bytes()}


@pytest.fixture(scope="module")
def alone(wide: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The model of the same search on one host."""
    with Cluster(wide, tmp_path_factory.mktemp("alone"), ["algo-1"]) as cluster:
        cluster.start()
        assert cluster.codes() == {"algo-1": 0}, cluster.first.log()
    return model(cluster.base / "algo-1")


def test_one_host_does_not_even_import_dask(wide: str, ml: Path) -> None:
    done = engine.run(
        wide, "python3", "-X", "importtime", "/opt/program/train", options=["-v", f"{ml}:/opt/ml", *LIMITS]
    )
    assert done.returncode == 0, done.stderr
    imported = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time")]
    assert "joblib" in imported
    assert not {"dask", "distributed"} & set(imported)


def test_dask_knows_our_settings(wide: str) -> None:
    """It does not say where it knows one not."""
    code = """
import json, os
from byoc.training.dask_programs import SETTINGS
os.environ |= SETTINGS
from dask import config
import distributed
names = ["scheduler.active-memory-manager.start", "scheduler.worker-ttl", "worker.memory.pause"]
print(json.dumps([config.get(f"distributed.{name}") for name in names]))
"""
    told = engine.run(wide, "python3", "-c", code)
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == [False, "30 minutes", False]


def test_a_search_on_four_hosts_finds_what_one_finds(wide: str, alone: dict[str, Any], tmp_path: Path) -> None:
    """The same model to the bit, wherever the first host comes; only it leaves one. The rank of algo-10 is 1."""
    with Cluster(wide, tmp_path, FOUR) as cluster:
        cluster.start("algo-10")
        cluster.containers["algo-10"].wait_for_log("waiting for host algo-1")
        cluster.start("algo-1", "algo-2")
        cluster.first.wait_for_log("host algo-2 is here")
        cluster.start("algo-3")
        assert cluster.codes() == dict.fromkeys(["algo-10", "algo-1", "algo-2", "algo-3"], 0), cluster.first.log()
        logs = {host: container.log() for host, container in cluster.containers.items()}
    for rank, host in enumerate(FOUR):
        assert f"rank {rank} of 4 hosts" in logs[host]
    assert "spread over 4 hosts, 4 threads" in logs["algo-1"]
    assert f"search: {3 * SHORT} of {3 * SHORT} fits" in logs["algo-1"]
    assert "search:best_score=0." in logs["algo-1"]
    assert model(tmp_path / "algo-1") == alone
    assert [list((tmp_path / host / "model").iterdir()) for host in FOUR[1:]] == [[], [], []]
    assert not list(tmp_path.glob("*/output/failure"))


def test_forests_and_cross_validation_on_three_hosts_are_those_of_one(wide: str, tmp_path: Path) -> None:
    found = []
    for hosts in HOSTS, HOSTS[:1]:
        with Cluster(wide, tmp_path / str(len(hosts)), hosts, code=SPREAD) as cluster:
            cluster.start()
            assert set(cluster.codes().values()) == {0}, cluster.first.log()
            logs = [container.log() for container in cluster.containers.values()]
        assert ["scored here" in log for log in logs] == [True] * len(hosts)
        with np.load(cluster.base / "algo-1/model/found.npz") as arrays:
            found.append({name: arrays[name].tobytes() for name in arrays})
    assert found[0] == found[1]


def test_a_host_and_a_worker_killed_in_mid_fit_are_survived(wide: str, alone: dict[str, Any], tmp_path: Path) -> None:
    with Cluster(wide, tmp_path) as cluster:
        cluster.begin()
        cluster.signal("KILL", "algo-3")
        cluster.containers["algo-2"].python(KILL, "spawn_main")
        assert cluster.codes() == {"algo-1": 0, "algo-2": 0, "algo-3": 137}, cluster.first.log()
        assert "host algo-3 is lost; its work goes to the others" in cluster.first.log()
    assert model(tmp_path / "algo-1") == alone


def test_a_stop_of_another_host_than_the_first_is_survived(wide: str, alone: dict[str, Any], tmp_path: Path) -> None:
    """It works on for as long as it may: the first host might still have a model to save."""
    with Cluster(wide, tmp_path) as cluster:
        cluster.begin()
        cluster.signal("TERM", "algo-2")
        assert set(cluster.codes().values()) == {0}, cluster.first.log()
    assert model(tmp_path / "algo-1") == alone


def test_without_its_scheduler_a_job_fails_on_every_host(wide: str, tmp_path: Path) -> None:
    with Cluster(wide, tmp_path, candidates=LONG) as cluster:
        cluster.begin().python(KILL, "dask_scheduler")
        assert set(cluster.codes().values()) == {1}, cluster.first.log()
    assert cluster.failure("algo-1") == "ClusterError: the Dask scheduler ended with code -9"
    for host in HOSTS[1:]:
        assert "training failed on host algo-1: ClusterError: the Dask scheduler" in cluster.failure(host)


def test_without_its_first_host_a_job_fails_on_the_others(wide: str, tmp_path: Path) -> None:
    with Cluster(wide, tmp_path, candidates=LONG) as cluster:
        cluster.begin()
        cluster.signal("KILL", "algo-1")
        assert cluster.codes() == {"algo-1": 137, "algo-2": 1, "algo-3": 1}
    for host in HOSTS[1:]:
        assert cluster.failure(host) == "ClusterError: host algo-1, which leads, is lost: see its own log"


@pytest.mark.parametrize("missing", ["algo-1", "algo-3"])
def test_a_host_that_never_comes_fails_the_job_on_all_others(wide: str, tmp_path: Path, missing: str) -> None:
    there = [host for host in HOSTS if host != missing]
    with Cluster(wide, tmp_path, options=["-e", "BYOC_HOSTS_TIMEOUT=20"]) as cluster:
        cluster.start(*there)
        assert set(cluster.codes().values()) == {1}
    for host in there:
        assert f"host {missing}" in cluster.failure(host)


def test_a_host_that_is_lost_before_the_work_began_fails_the_job(wide: str, tmp_path: Path) -> None:
    with Cluster(wide, tmp_path) as cluster:
        cluster.start("algo-1", "algo-2")
        cluster.first.wait_for_log("host algo-2 is here")
        cluster.signal("KILL", "algo-2")
        cluster.start("algo-3")
        assert cluster.codes() == {"algo-1": 1, "algo-2": 137, "algo-3": 1}
    assert cluster.failure("algo-1") == "ClusterError: host algo-2 was lost before the work began: see its own log"
    assert "algo-2 was lost" in cluster.failure("algo-3")


@pytest.mark.parametrize("told", [HOSTS, HOSTS[:1]])
def test_a_stop_ends_all(wide: str, tmp_path: Path, told: list[str]) -> None:
    with Cluster(wide, tmp_path, candidates=LONG) as cluster:
        cluster.begin()
        cluster.signal("TERM", *told)
        assert set(cluster.codes().values()) == {143}, cluster.first.log()
    assert not list(tmp_path.glob("*/output/failure"))


def test_a_stop_while_hosts_wait_for_one_another_ends_all(wide: str, tmp_path: Path) -> None:
    with Cluster(wide, tmp_path) as cluster:
        cluster.start("algo-1", "algo-2")
        cluster.first.wait_for_log("host algo-2 is here")
        cluster.signal("TERM")
        assert cluster.codes() == {"algo-1": 143, "algo-2": 143}
    assert not list(tmp_path.glob("*/output/failure"))


# What `fit` does · why it failed
ENDS = [
    ("raise TimeoutError('no answer')", "TimeoutError: no answer"),
    ("sys.exit(0)", "SystemExit: 0"),
    (LOCK.format("str", "threading.Lock()"), "TypeError: cannot pickle '_thread.lock' object"),
    (LOCK.format("threading.Lock", ""), "TypeError: "),
    (LOCK_IN_A_TASK, "TypeError: "),
    (EAT, "ClusterError: a task's workers were killed one after another, most likely for want of memory: use an "),
]


@pytest.mark.parametrize(
    ("code", "reason"),
    ENDS,
    ids=["an error", "an exit", "an argument", "a result", "a result of a task in a task", "out of memory"],
)
def test_why_fit_failed_is_told_on_every_host(wide: str, tmp_path: Path, code: str, reason: str) -> None:
    with Cluster(wide, tmp_path, HOSTS[:2], code=code) as cluster:
        cluster.start()
        assert cluster.codes() == {"algo-1": 1, "algo-2": 1}, cluster.first.log()
    assert cluster.failure("algo-1").startswith(reason)
    assert cluster.failure("algo-2").startswith(f"ClusterError: training failed on host algo-1: {reason}")
    assert "\n" not in cluster.failure("algo-2")


def test_workers_that_hold_much_memory_between_their_tasks_work_on(wide: str, tmp_path: Path) -> None:
    with Cluster(wide, tmp_path, HOSTS[:2], code=HOARD) as cluster:
        cluster.start()
        assert cluster.codes() == {"algo-1": 0, "algo-2": 0}, cluster.first.log()
