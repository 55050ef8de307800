"""Work where data lies: in order, ahead of its turn, and never too much of it at a time. Dask: tests/image."""

import threading
import time

import pytest

from byoc.env import Paths, TrainingEnvironment
from byoc.errors import DataError
from byoc.training import hosts
from byoc.training.hosts import OneHost
from byoc.training.job import Job
from byoc.training.stop import StopNotice
from tests.program import wait_until


class Counting(OneHost):
    """Two hosts of one machine, that count what is there: started, and not yet done with."""

    def __init__(self, threads):
        super().__init__("algo-1", threads)
        self.threads = {"algo-1": threads, "algo-2": threads}
        self.started = []

    def start(self, host, function, *arguments):
        self.started.append(host)
        return super().start(host, function, *arguments)


def slow(number):
    time.sleep(0.002 * (number % 3))
    return number


@pytest.mark.parametrize("threads", [1, 3])
def test_tasks_come_in_their_order_and_few_are_ahead(threads):
    workers = Counting(threads)
    tasks = [("algo-1" if number % 5 else "algo-2", number) for number in range(60)]
    done = []
    for host, future in hosts.ahead(workers, tasks, slow):
        done.append((host, future.result()))
        for name in workers.threads:
            there = workers.started.count(name) - sum(host == name for host, _ in done[:-1])
            assert there <= threads + 1
    assert done == tasks
    workers.close()


def test_others_are_at_work_while_one_is_in_turn():
    workers = OneHost("algo-1", 2)
    running = threading.Semaphore(0)

    def task(number):
        running.release()
        return number

    turns = hosts.ahead(workers, [("algo-1", number) for number in range(9)], task)
    next(turns)
    for _ in range(3):
        assert running.acquire(timeout=30)
    turns.close()
    workers.close()


def test_each_host_is_asked():
    workers = Counting(1)
    assert hosts.each(workers, lambda: 5) == {"algo-1": 5, "algo-2": 5}
    assert workers.started == ["algo-1", "algo-2"]
    workers.close()


def refuse():
    raise DataError("no such file")


def test_a_mistake_names_the_host_where_there_are_several():
    two, one = Counting(1), OneHost("algo-1", 1)
    with pytest.raises(DataError, match=r"^host algo-1: no such file$"):
        hosts.each(two, refuse)
    with pytest.raises(DataError, match=r"^no such file$"):
        hosts.each(one, refuse)
    two.close()
    one.close()


def test_one_host_is_this_one_and_leaves_no_thread_behind(tmp_path):
    before = set(threading.enumerate())
    job = Job(TrainingEnvironment(Paths(tmp_path)), tmp_path, StopNotice())
    with hosts.of(job) as workers:
        assert workers.threads == {"algo-1": job.cpus}
        found = workers.start("algo-1", slow, 3)
        assert workers.join("algo-1", lambda state, number: state + number, 4, found) == 7
        assert set(threading.enumerate()) - before
    # What threads other tests left may end meanwhile.
    wait_until(lambda: set(threading.enumerate()) <= before, what="the end of the threads")
