"""A small model of a job on many hosts: how long it takes and what it costs, from what a few hosts cost here.

All hosts start, meet, and get the data along a tree. Tasks then wait in one queue; the first host hands them out and
takes their results back, one after the other, and never more than two for each worker ahead. A host has one worker.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# joblib's: tasks under way for each worker, and the seconds of a batch into which it puts brief ones.
AHEAD = 2
BATCH = 0.2
# Dask's: how many hosts each that has the data gives it to before these give it on in their turn.
BRANCHES = 2


@dataclass(frozen=True)
class Costs:
    """What was measured.

    Attributes:
        alone: seconds from the start of the one host until `fit` begins.
        meeting: the same of several hosts, before any of them is counted.
        host: seconds more for each host.
        task: seconds of the first host for each task, or batch of brief ones.
        bandwidth: bytes a second that a host sends.

    """

    alone: float
    meeting: float
    host: float
    task: float
    bandwidth: float


@dataclass(frozen=True)
class Job:
    """What is to be done.

    Attributes:
        name: for people.
        tasks: how many fits, or trees.
        seconds: of each, on average, on one host.
        serial: seconds that only the first host works: reading, a last fit, saving.
        data: bytes that every host needs.
        result: bytes that come back from each task.
        spread: by which share tasks are longer or shorter than the average at most.

    """

    name: str
    tasks: int
    seconds: float
    serial: float = 0.0
    data: float = 0.0
    result: float = 0.0
    spread: float = 0.0


def duration(job: Job, hosts: int, costs: Costs, lost: Mapping[int, float] | None = None) -> float:
    """Return the seconds from the start of the hosts until the job's end.

    ``lost`` are hosts, by number from 0, that go so many seconds after the tasks began.
    """
    spread = work(job, hosts, costs, lost)
    if hosts == 1:
        return costs.alone + job.serial + spread
    start = costs.meeting + costs.host * hosts + broadcast(job.data, hosts, costs.bandwidth)
    return start + job.serial + spread


def work(job: Job, hosts: int, costs: Costs, lost: Mapping[int, float] | None = None) -> float:
    """Return the seconds that the tasks take once all hosts are ready."""
    lengths = _lengths(job)
    if hosts == 1:
        return sum(lengths)
    together = job.tasks / len(lengths)
    return queue(lengths, hosts, costs.task + job.result * together / costs.bandwidth, lost)


def cost(job: Job, hosts: int, costs: Costs) -> float:
    """Return the hosts' time that is paid for, as a multiple of what one host takes."""
    return hosts * duration(job, hosts, costs) / duration(job, 1, costs)


def broadcast(size: float, hosts: int, bandwidth: float) -> float:
    """Return the seconds until all hosts have so many bytes: to the first worker, then along a tree of the others."""
    rounds = math.ceil(round(math.log(hosts, BRANCHES + 1), 9))
    # A host that gives it to two sends it twice; on the last level there may be fewer.
    last = math.ceil(hosts / (BRANCHES + 1) ** (rounds - 1)) - 1 if rounds else 0
    return (1 + BRANCHES * max(0, rounds - 1) + min(BRANCHES, last)) * size / bandwidth


def queue(lengths: Sequence[float], workers: int, handling: float, lost: Mapping[int, float] | None = None) -> float:
    """Return the seconds until all tasks are done, each of which the first host handles for so many seconds.

    Raises:
        ValueError: no worker is left.

    """
    gone = lost or {}
    waiting = deque((0.0, length) for length in lengths)
    free = [(0.0, number) for number in range(workers)]
    under_way: list[float] = []
    handed = end = 0.0
    while waiting:
        known, length = waiting.popleft()
        if len(under_way) == AHEAD * workers:
            known = max(known, heapq.heappop(under_way))
        handed = max(handed, known) + handling
        while True:
            if not free:
                raise ValueError("all workers are lost")
            since, worker = heapq.heappop(free)
            began = max(since, handed)
            dies = gone.get(worker, math.inf)
            if began < dies:
                break
        if began + length > dies:
            # It is begun anew, by another.
            waiting.append((dies, length))
            continue
        heapq.heappush(free, (began + length, worker))
        heapq.heappush(under_way, began + length)
        end = max(end, began + length)
    return end


def _lengths(job: Job) -> list[float]:
    """Return the seconds of each task; of brief ones, of each batch."""
    together = max(1, math.ceil(round(BATCH / job.seconds, 6))) if job.seconds else job.tasks
    draw = random.Random(job.name)  # noqa: S311 - the same every time
    batches = [min(together, job.tasks - first) for first in range(0, job.tasks, together)]
    return [size * job.seconds * (1 + job.spread * draw.uniform(-1, 1)) for size in batches]
