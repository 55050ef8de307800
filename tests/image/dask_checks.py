"""Runs inside an image with Dask, which has no pytest: python3 dask_checks.py prints each check's name once it holds.

Two workers, programs of their own, and the client as a job has it.
"""

from __future__ import annotations

import sys
import time

import dask
import joblib
import numpy as np
from dask.sizeof import sizeof

from byoc.training import dask_programs
from byoc.training.dask_backend import Backend
from byoc.training.dask_client import Client

LARGE = np.arange(100_000.0)


class Counting(Client):
    """Knows how often data were put on the workers."""

    scattered = 0

    async def _scatter(self, *arguments, **options):
        type(self).scattered += 1
        return await super()._scatter(*arguments, **options)


def total(array, number=0):
    return float(array.sum()) + number


def spread(array, count=8):
    return joblib.Parallel()(joblib.delayed(total)(array, number) for number in range(count))


def loaded(name="sklearn.ensemble"):
    return name in sys.modules


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def check_workers_import_before_they_are_given_work(client):
    wait_until(lambda: all(client.run(loaded).values()))


def check_the_scheduler_unpacks_no_task(client):
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier

    rows, labels = load_iris(return_X_y=True)
    with joblib.parallel_config("sequential"):
        alone = RandomForestClassifier(20, random_state=0).fit(rows, labels)
    fitted = RandomForestClassifier(20, random_state=0).fit(rows, labels)
    np.testing.assert_array_equal(fitted.predict_proba(rows), alone.predict_proba(rows))
    assert not client.run_on_scheduler(loaded)


def check_large_arguments_are_on_every_worker_and_stay_there(client):
    assert spread(LARGE) == [total(LARGE, number) for number in range(8)]
    (holders,) = [set(each) for key, each in client.who_has().items() if key.startswith("ndarray")]
    assert holders == set(client.nthreads())
    assert not client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.extensions["amm"].running)


def check_what_is_sent_again_is_there_already(client):
    before = client.scattered
    assert spread(LARGE.copy()) == spread(LARGE)
    assert client.scattered == before
    spread(LARGE + 1)
    assert client.scattered == before + 1


def check_small_arguments_go_with_their_tasks(client):
    before = client.scattered
    spread(LARGE[:20_000])
    assert client.scattered == before


def check_only_the_latest_stay_as_there_is_room(client):
    assert client.room == 0.2 * min(client.run(lambda dask_worker: dask_worker.memory_manager.memory_limit).values())
    client.room = 4.5 * sizeof(LARGE)
    arrays = [LARGE * number for number in range(2, 7)]
    for array in arrays:
        spread(array)
    wait_until(lambda: sum(key.startswith("ndarray") for key in client.who_has()) == 4)
    before = client.scattered
    spread(arrays[-1])
    assert client.scattered == before
    spread(arrays[0])
    assert client.scattered == before + 1


def check_what_was_lost_with_all_workers_is_sent_again(client):
    spread(LARGE)
    client.restart()
    assert spread(LARGE) == [total(LARGE, number) for number in range(8)]


def check_workers_do_not_watch_themselves(client):
    assert set(client.run(lambda: dask.config.get("distributed.worker.profile.enabled")).values()) == {False}


def main():
    address = "tcp://127.0.0.1:8786"
    programs = [dask_programs.scheduler("lo")]
    command = ["--nworkers", "2", "--nthreads", "1", "--no-dashboard"]
    programs.append(dask_programs._start("worker", address, *command))
    try:
        with Counting(address, timeout=60, set_as_default=True) as client:
            client.wait_for_workers(2, timeout=60)
            client.warm_up()
            with joblib.parallel_config(Backend(client=client)):
                for name, check in list(globals().items()):
                    if name.startswith("check_"):
                        check(client)
                        print(name, flush=True)
    finally:
        dask_programs.end(*programs)


if __name__ == "__main__":
    main()
