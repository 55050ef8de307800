"""What runs in the containers in place of the sample's `train`: it measures from within, and prints a line of JSON.

`BYOC_PROBE` says what: ``tasks`` and ``data`` by joblib alone, or a whole job of the sample algorithm.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoc.training import Job

SAYS = "PROBE "
# Milliseconds of CPU time, and how many tasks of so many.
TASKS = {0: 200, 10: 100, 100: 40, 1000: 8}
MEGABYTES = (1, 10, 100)
# Tasks for each worker, so that every one has some.
REACHING = 4
BLOCK = b"x" * 4096


def fit(job: Job) -> None:
    """Measure what the environment names, on as many hosts as there are."""
    found: dict[str, Any] = {"begun": time.time(), "cpu": cpu_seconds()}
    if os.environ["BYOC_PROBE"] == "tasks":
        if len(job.environment.hosts) > 1:
            found |= _data()
        found |= _tasks(job)
    else:
        found |= _whole(job)
    found["ended"] = time.time()
    sys.stdout.write(f"{SAYS}{json.dumps(found)}\n")
    sys.stdout.flush()
    (job.model_dir / "done").write_text("")


def _tasks(job: Job) -> dict[str, Any]:
    """Return the seconds that many tasks of each length take, and those of tasks that are not put in batches."""
    found = {}
    for milliseconds, count in TASKS.items():
        found[str(milliseconds)] = _seconds(_run, job, milliseconds, count)
    found["each"] = _seconds(_run, job, 0, TASKS[0], 1)
    return {"tasks": found}


def _run(job: Job, milliseconds: int, count: int, batch_size: int | str = "auto") -> None:
    parallel = joblib.Parallel(n_jobs=job.cpus, batch_size=batch_size)
    parallel(joblib.delayed(work)(milliseconds) for _ in range(count))


def work(milliseconds: int) -> int:
    """Take so much CPU time, whatever else goes on."""
    end = time.thread_time() + milliseconds / 1000
    rounds = 0
    while time.thread_time() < end:
        hashlib.sha256(BLOCK).digest()
        rounds += 1
    return rounds


def _data() -> dict[str, Any]:
    """Return for data of each size the seconds until a task on each host has had it, and the bytes each host sent."""
    from distributed import get_client  # noqa: PLC0415 - not on one host

    client = get_client()
    # As an algorithm that has worked before finds them: every connection is there.
    _reach(client, np.zeros(1 << 17))
    rows = {}
    for megabytes in MEGABYTES:
        array = np.random.default_rng(megabytes).random(megabytes << 17)
        before = client.run(sent)
        seconds = _seconds(_reach, client, array)
        after = client.run(sent)
        rows[str(megabytes)] = {"seconds": seconds, "sent": sorted(after[each] - before[each] for each in after)}
    return {"data": rows}


def _reach(client: Any, array: Any) -> None:
    """Have enough tasks that every worker takes one."""
    joblib.Parallel()(joblib.delayed(first)(array) for _ in range(REACHING * len(client.nthreads())))


def first(array: Any) -> float:
    """Touch it."""
    return float(array[0])


def sent() -> int:
    """Return the bytes that this container has sent."""
    lines = Path("/proc/net/dev").read_text().splitlines()
    return sum(int(line.split(":")[1].split()[8]) for line in lines if line.strip().startswith("eth"))


def cpu_seconds() -> float:
    """Return the CPU time that this container has taken."""
    v2, v1 = Path("/sys/fs/cgroup/cpu.stat"), Path("/sys/fs/cgroup/cpuacct/cpuacct.usage")
    return int(v2.read_text().split()[1]) / 1e6 if v2.exists() else int(v1.read_text()) / 1e9


def _whole(job: Job) -> dict[str, Any]:
    """Return the seconds of each step of the sample algorithm, which takes them as `train` does."""
    from tabular import training  # noqa: PLC0415 - part of what is measured
    from tabular.options import Options  # noqa: PLC0415

    steps: dict[str, float] = {}

    def timed(name: str, step: Callable[[], Any]) -> Any:
        began = time.monotonic()
        try:
            return step()
        finally:
            steps[name] = time.monotonic() - began

    options = Options.read(job.hyperparameters)
    dataset = timed("read", lambda: training.read(job, options))
    options = timed("search", lambda: training.choose(job, options, dataset))
    model = timed("fit", lambda: training.fit(job, options, dataset))
    evaluation = timed("judge", lambda: training.judge(job, options, model, dataset))
    timed("save", lambda: training.save(job, options, model, dataset, evaluation))
    return {"steps": steps}


def _seconds(what: Callable[..., Any], *arguments: Any) -> float:
    began = time.monotonic()
    what(*arguments)
    return time.monotonic() - began
