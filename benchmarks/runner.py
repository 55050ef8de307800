"""Runs the rounds: every system by turns, each time started anew, each work on each of them."""

from __future__ import annotations

import importlib
import shutil
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from benchmarks import models
from benchmarks.servers import ServerError, serving
from benchmarks.works import LARGE_BESIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.models import Model
    from benchmarks.servers import Beside, Load, Server
    from benchmarks.systems import System
    from benchmarks.works import Work

WARM_UP = 1.0
# Of the work "train".
TRAINING_ROWS = 1_000_000
# A model of half a gigabyte, and so many workers that share it.
SHARING = ("large", "ours-sklearn", 4)


@dataclass(frozen=True)
class Plan:
    """What to run.

    Attributes:
        works: to be measured.
        systems: in the order of the first round.
        rounds, seconds: how often, and how long each.
        extras: of "sharing" and "train", those to be measured.

    """

    works: Sequence[Work]
    systems: Sequence[System]
    rounds: int
    seconds: float
    extras: Sequence[str] = ()


@dataclass
class Figures:
    """What was measured.

    Attributes:
        values: by (work, measure, system), one figure a round.
        failures: by (work, system), how many requests had not the answer they were to have.
        troubles: what did not run, and why.

    """

    values: dict[tuple[str, str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    failures: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    troubles: dict[str, str] = field(default_factory=dict)

    def add(self, work: str, measure: str, system: str, value: float) -> None:
        """Note a figure of one more round."""
        self.values[work, measure, system].append(value)


class Runner:
    """Runs a plan.

    Args:
        plan: what to run.
        folder: for models, bodies and logs; belongs to the caller.
        say: is told of every step.

    """

    def __init__(self, plan: Plan, folder: Path, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.folder = folder
        self.say = say
        self.figures = Figures()

    def run(self) -> Figures:
        """Return the figures; a system that does not start is left out and named in them."""
        for kind in dict.fromkeys(work.kind for work in self.plan.works):
            self.say(f"{kind}: fitting the model")
            model = models.fit(kind, self.folder)
            if any(system.name == "ours" for system in self.plan.systems):
                self._predict_in_process(model, kind)
            for number in range(self.plan.rounds):
                for system in _rotated(self.plan.systems, number):
                    self._round(model, system, number)
        if "sharing" in self.plan.extras:
            self._share()
        if "train" in self.plan.extras:
            self._train()
        return self.figures

    def _round(self, model: Model, system: System, number: int) -> None:
        if system.name in self.figures.troubles:
            return
        kind = model.base.name
        folder = self.folder / f"{kind}-{system.name}-{number}"
        try:
            with serving(system, model, folder) as server:
                works = [work for work in self.plan.works if work.kind == kind]
                for work in works:
                    self._try(server, work, first=work is works[0])
        except ServerError as error:
            self._trouble(system.name, error)
        shutil.rmtree(folder)

    def _try(self, server: Server, work: Work, *, first: bool) -> None:
        """Measure a work; a server that fails at it may be good for the others."""
        label = f"{server.system.name} at {work.name}"
        if label not in self.figures.troubles:
            try:
                self._measure(server, work, first=first)
            except ServerError as error:
                self._trouble(label, error)

    def _trouble(self, label: str, error: ServerError) -> None:
        self.figures.troubles[label] = str(error)
        self.say(f"{label}: {error}")

    def _measure(self, server: Server, work: Work, *, first: bool) -> None:
        name, folder = server.system.name, server.place.folder
        bodies = server.prepare(server.place.model.requests(work.clients, work.rows), folder / work.name)
        beside: Beside | None = "ping" if work.beside == "ping" else None
        if work.beside == "large":
            large = server.place.model.requests(1, LARGE_BESIDE)
            beside = server.prepare(large, folder / f"{work.name}-large")
        server.load(work.clients, bodies, WARM_UP)
        if first and server.system.predicts:
            self.figures.add(work.kind, "start", name, server.start)
            self.figures.add(work.kind, "memory", name, server.memory)
        self._note(work, name, *server.load(work.clients, bodies, self.plan.seconds, beside))
        shutil.rmtree(bodies)

    def _note(self, work: Work, system: str, load: Load, beside: Load | None) -> None:
        failures = load.failures + (beside.failures if beside else 0)
        self.figures.failures[work.name, system] += failures
        self.figures.add(work.name, "rate", system, load.rate)
        # A system that has not answered once in this time has no tail; its rate of 0 stays to be seen.
        if load.p50:
            self.figures.add(work.name, "tail", system, load.p99 / load.p50)
        said = f"{work.name:18} {system:14} {load.rate:9.1f}/s  p50 {load.p50:7.1f} ms  p99 {load.p99:7.1f} ms"
        if beside and work.beside == "ping":
            # Without a single answer it took at least as long as was waited for one.
            ping = beside.p99 if beside.good else beside.seconds * 1000
            self.figures.add(work.name, "ping", system, ping)
            said += f"  ping p99 {ping:.1f} ms"
        self.say(said + (f"  {failures} FAILED: {load}" if failures else ""))

    def _predict_in_process(self, model: Model, kind: str) -> None:
        """Note what scikit-learn's `predict` alone would allow, without any server, with two processes."""
        for work in self.plan.works:
            if work.kind == kind:
                rows = model.requests(1, work.rows)[0][0].rows
                calls, began = 0, time.perf_counter()
                with threadpool_limits(1):
                    while (spent := time.perf_counter() - began) < 1 or not calls:
                        model.estimator.predict(rows)
                        calls += 1
                self.figures.add(work.name, "rate", "predict", 2 * calls / spent)

    def _share(self) -> None:
        """Note the memory of four workers on a large model against that of one."""
        from benchmarks.systems import OWN  # noqa: PLC0415 - the plan's systems need not hold it

        kind, name, workers = SHARING
        self.say(f"{kind}: fitting the model")
        model = models.fit(kind, self.folder)
        system = next(each for each in OWN if each.name == name)
        for number in range(self.plan.rounds):
            held = []
            for count in (1, workers):
                folder = self.folder / f"{kind}-{count}-{number}"
                with serving(system, model, folder, count) as server:
                    bodies = server.prepare(model.requests(16, 1), folder / "bodies")
                    server.load(16, bodies, self.plan.seconds)
                    held.append(server.memory)
                shutil.rmtree(folder)
            self.say(f"sharing: {workers} workers hold {held[1] / held[0]:.2f} times as much as one")
            self.figures.add(kind, "sharing", name, held[1] / held[0])

    def _train(self) -> None:
        """Note what `train` costs against a bare script."""
        self.say(f"train: {TRAINING_ROWS:,} rows, {self.plan.rounds} rounds")
        ratios = importlib.import_module("benchmarks.train").measure(TRAINING_ROWS, self.plan.rounds)
        for measure in ("time", "memory"):
            self.figures.add("train", measure, "ours", ratios[measure])


def _rotated(systems: Sequence[System], by: int) -> list[System]:
    """Return the systems in another order each round, so that none always runs after the same one."""
    start = by % len(systems)
    return [*systems[start:], *systems[:start]]
