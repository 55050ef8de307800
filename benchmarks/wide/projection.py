"""Typical jobs on as many as 128 hosts, as the simulation has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.wide import simulation
from benchmarks.wide.simulation import Job

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.wide.simulation import Costs

HOSTS = (1, 2, 4, 8, 16, 32, 64, 128)
TYPICAL = (
    Job("120 fits of 10 ms", 120, 0.01, serial=2, data=1e6, spread=0.3),
    Job("10,000 fits of a second", 10_000, 1, serial=10, data=10e6, spread=0.5),
    Job("100 fits of a minute", 100, 60, serial=70, data=100e6, spread=0.3),
    # Each tree some 20 MB; reading, judging and saving take minutes.
    Job("a forest of 500 trees on 1 GB", 500, 40, serial=240, data=1e9, result=20e6, spread=0.1),
)
# What is a fair price for haste: half as much again.
FAIR = 1.5


@dataclass(frozen=True)
class Projected:
    """A job on each number of hosts: seconds, and the cost as a multiple of that on one host."""

    job: Job
    seconds: dict[int, float]
    cost: dict[int, float]

    @property
    def fair(self) -> int:
        """The most hosts that are no more than half as dear again, and quicker than all fewer; 1 where none are."""
        good = [count for count in HOSTS if self.cost[count] <= FAIR and self.seconds[count] <= self.seconds[1]]
        return min(good, key=lambda count: self.seconds[count])

    @property
    def fastest(self) -> int:
        """The fewest hosts on which the job takes no longer than on any other number, within a twentieth."""
        least = min(self.seconds.values())
        return next(count for count in HOSTS if self.seconds[count] <= 1.05 * least)


def all_jobs(measured: Iterable[Job], costs: Costs) -> list[Projected]:
    """Return the measured jobs and the typical ones."""
    return [
        Projected(
            job,
            {count: simulation.duration(job, count, costs) for count in HOSTS},
            {count: simulation.cost(job, count, costs) for count in HOSTS},
        )
        for job in (*measured, *TYPICAL)
    ]


def lines(projected: Iterable[Projected]) -> list[str]:
    """Return a line for each job: seconds and, behind them, the cost."""
    found = [f"{'job':38}" + "".join(f"{count:>16}" for count in HOSTS) + f"   fair ({FAIR} x), fastest"]
    for each in projected:
        cells = [f"{each.seconds[count]:.0f} s {each.cost[count]:.3g} x" for count in HOSTS]
        found.append(
            f"{each.job.name:38}" + "".join(f"{cell:>16}" for cell in cells) + f"   {each.fair}, {each.fastest}"
        )
    return found
