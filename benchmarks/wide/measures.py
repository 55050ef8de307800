"""Runs the jobs on 1, 2 and 4 hosts, and makes of the figures what the simulation needs, and rows for people."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.datasets import load_digits

from benchmarks.wide import hosts, simulation
from benchmarks.wide.probe import MEGABYTES, REACHING, TASKS
from benchmarks.wide.simulation import Costs, Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

COUNTS = (1, 2, 4)
# The digits, real ones, repeated to so many rows with noise.
ROWS = {"search": 1797, "forest": 20_000}
PIXELS = 64
NOISE = 2.0


@dataclass(frozen=True)
class Whole:
    """A job of the sample algorithm: its hyperparameters, how many tasks it spreads, and in which of its steps."""

    name: str
    about: str
    hyperparameters: dict[str, str]
    tasks: int
    step: str


SPACE = '{"max_depth": [5, 9, null], "max_features": {"low": 0.1, "high": 0.6}}'
WHOLES = (
    Whole(
        "search",
        "a search of 48 fits on the digits",
        {
            "estimator": "RandomForestClassifier",
            "n_estimators": "60",
            "search": f'{{"space": {SPACE}, "n_iter": 16, "cv": 3}}',
        },
        48,
        "search",
    ),
    Whole(
        "forest",
        "a forest of 150 trees on 20,000 rows",
        {"estimator": "RandomForestClassifier", "n_estimators": "150"},
        150,
        "fit",
    ),
)


class Figures:
    """Every figure of every round, by what was measured and on how many hosts."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, int], list[float]] = defaultdict(list)

    def add(self, name: str, count: int, value: float) -> None:
        """Keep it; of a name and a count the rounds follow one another."""
        self.values[name, count].append(value)

    @classmethod
    def read(cls, document: Sequence[dict[str, Any]]) -> Figures:
        """Return those that `document` wrote."""
        found = cls()
        for row in document:
            found.values[row["what"], row["hosts"]] = row["values"]
        return found

    def document(self) -> list[dict[str, Any]]:
        """Return them for JSON."""
        return [{"what": what, "hosts": count, "values": values} for (what, count), values in self.values.items()]

    def best(self, name: str, count: int) -> float:
        """Return the least of the rounds: what else this machine does can only add to it."""
        return min(self.values[name, count])

    def median(self, name: str, count: int) -> float:
        """Return the median of the rounds."""
        return statistics.median(self.values[name, count])

    def ratios(self, name: str, count: int, to: int = 1) -> list[float]:
        """Return one figure's ratio to that on so many hosts, by rounds."""
        pairs = zip(self.values[name, count], self.values[name, to], strict=True)
        return [one / other for one, other in pairs]


def measure(image: str, rounds: int, base: Path, say: Callable[[str], None]) -> Figures:
    """Run everything so many times, each time the numbers of hosts in another order."""
    figures = Figures()
    data = {name: _write(base / f"{name}.csv", rows) for name, rows in ROWS.items()}
    for number in range(rounds):
        for count in COUNTS if number % 2 == 0 else COUNTS[::-1]:
            ran = hosts.run(image, count, "tasks", base, {}, data["search"])
            for name, value in _tasks(ran):
                figures.add(name, count, value)
            for whole in WHOLES:
                ran = hosts.run(image, count, whole.name, base, whole.hyperparameters, data[whole.name])
                figures.add(whole.name, count, ran.seconds)
                figures.add(f"{whole.name} spread", count, ran.said["steps"][whole.step])
            told = ", ".join(f"{whole.name} {figures.values[whole.name, count][-1]:.1f} s" for whole in WHOLES)
            say(f"round {number + 1} of {rounds}, {count} hosts: {told}")
    return figures


def _write(file: Path, rows: int) -> Path:
    pixels, labels = load_digits(return_X_y=True)
    draw = np.random.default_rng(rows)
    chosen = np.arange(len(labels)) if rows == len(labels) else draw.integers(0, len(labels), rows)
    noise = 0 if rows == len(labels) else draw.normal(0, NOISE, (rows, PIXELS))
    table = np.column_stack([labels[chosen], pixels[chosen] + noise])
    np.savetxt(file, table, fmt=["%d"] + ["%.2f"] * PIXELS, delimiter=",")
    return file


def _tasks(ran: hosts.Ran) -> Iterator[tuple[str, float]]:
    said: dict[str, Any] = ran.said
    yield "start", said["begun"] - ran.started
    yield "start cpu", said["cpu"]
    yield "end", ran.started + ran.seconds - said["ended"]
    for name, seconds in said["tasks"].items():
        yield f"tasks of {name}", seconds
    for megabytes, row in said.get("data", {}).items():
        yield f"data {megabytes}", row["seconds"]
        yield f"sent {megabytes}", sum(row["sent"]) / 1e6


def costs(figures: Figures) -> Costs:
    """Return what the simulation needs.

    Until all hosts are there the first is busy with its own programs, so that its CPU time tells how long that takes,
    and its growth what a host adds; hosts that share this machine's CPUs would wait for these.
    """
    few, many = COUNTS[1:]
    start = {count: figures.best("start cpu", count) / hosts.CPUS for count in (few, many)}
    each = max(0.0, (start[many] - start[few]) / (many - few))
    task = min(figures.best("tasks of each", count) for count in (few, many)) / TASKS[0]
    # The tasks that touch the data take their time too.
    bringing = {
        count: figures.best("data 100", count) - simulation.queue([0.0] * REACHING * count, count, task)
        for count in (few, many)
    }
    return Costs(
        alone=figures.best("start", 1) + figures.best("end", 1),
        meeting=start[few] - few * each + figures.best("end", few),
        host=each,
        task=task,
        bandwidth=max(simulation.broadcast(100e6, count, 1.0) / seconds for count, seconds in bringing.items()),
    )


def jobs(figures: Figures) -> list[Job]:
    """Return the whole jobs as one host shows them: what is not spread is what is left of their time."""
    alone = figures.best("start", 1) + figures.best("end", 1)
    found = []
    for whole in WHOLES:
        spread = figures.best(f"{whole.name} spread", 1)
        serial = max(0.0, figures.best(whole.name, 1) - alone - spread)
        size = ROWS[whole.name] * PIXELS * 8.0
        found.append(Job(whole.about, whole.tasks, spread / whole.tasks, serial=serial, data=size))
    return found


def points(figures: Figures) -> dict[str, dict[int, float]]:
    """Return the seconds of the whole jobs, by their names and the numbers of hosts."""
    return {whole.about: {count: figures.best(whole.name, count) for count in COUNTS} for whole in WHOLES}


@dataclass(frozen=True)
class Check:
    """What the simulation says beside what was measured, in seconds."""

    what: str
    hosts: int
    measured: float
    simulated: float

    @property
    def error(self) -> float:
        """By how much the simulation is too long, as a share."""
        return self.simulated / self.measured - 1


def checks(figures: Figures) -> list[Check]:
    """Return every time that the simulation can be asked for; of one host, whole jobs are what it was told."""
    known = costs(figures)
    found = []
    for milliseconds, tasks in TASKS.items():
        name = f"tasks of {milliseconds}"
        job = Job(name, tasks, figures.best(name, 1) / tasks)
        for count in COUNTS[1:] if milliseconds else ():
            simulated = simulation.work(job, count, known)
            found.append(Check(f"{tasks} {name} ms", count, figures.best(name, count), simulated))
    for megabytes in MEGABYTES:
        for count in COUNTS[1:]:
            simulated = simulation.broadcast(megabytes * 1e6, count, known.bandwidth)
            simulated += simulation.queue([0.0] * REACHING * count, count, known.task)
            found.append(Check(f"{megabytes} MB to all", count, figures.best(f"data {megabytes}", count), simulated))
    for whole, job in zip(WHOLES, jobs(figures), strict=True):
        for count in COUNTS:
            simulated = simulation.duration(job, count, known)
            found.append(Check(whole.about, count, figures.best(whole.name, count), simulated))
    return found


def lines(figures: Figures) -> list[str]:
    """Return the table for people: medians, and ratios of the same round with their range."""
    found = [f"{'what':26} {'hosts':>5} {'median':>9}  {'of one host':>11}  range"]
    names = dict.fromkeys(name for name, _ in figures.values)
    for name in names:
        for count in COUNTS:
            if (name, count) not in figures.values:
                continue
            line = f"{name:26} {count:5} {figures.median(name, count):9.3f}"
            if count > 1 and (name, 1) in figures.values:
                ratios = figures.ratios(name, count)
                line += f"  {statistics.median(ratios):11.3f}  {min(ratios):.3f}-{max(ratios):.3f}"
            found.append(line)
    return found


def check_lines(found: Sequence[Check]) -> list[str]:
    """Return the simulation's errors as lines."""
    head = f"{'what':38} {'hosts':>5} {'measured':>9} {'simulated':>9} {'error':>7}"
    return [
        head,
        *(
            f"{each.what:38} {each.hosts:5} {each.measured:9.2f} {each.simulated:9.2f} {each.error:+7.0%}"
            for each in found
        ),
    ]
