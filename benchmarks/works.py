"""What is measured, and what ours is to reach: the two tables behind everything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Measure = Literal["rate", "ping", "tail", "memory", "start", "sharing", "time"]

# Rows of the body that is sent beside the small ones: about 5 MB of thirty numbers each.
LARGE_BESIDE = 22_000


@dataclass(frozen=True)
class Work:
    """Requests of one kind, sent by so many clients, each as soon as its last one is answered.

    Attributes:
        name: as in `--only`, the results and the targets.
        about: for people.
        kind: of the model, a key of `benchmarks.models.KINDS`.
        rows: in each request.
        clients: connections.
        baseline: the system that all others are compared with.
        beside: what one more client sends meanwhile: GET /ping a hundred times a second, or bodies of 5 MB.
        quick: whether the quick run has it.
        guarded: whether the guard of CI has it, which must be quicker still.

    """

    name: str
    about: str
    kind: str
    rows: int
    clients: int
    baseline: str = "classic"
    beside: Literal["", "ping", "large"] = ""
    quick: bool = False
    guarded: bool = False


WORKS = (
    Work("iris-c64", "decision tree, 1 row, 64 clients", "iris", 1, 64, quick=True, guarded=True),
    Work(
        "forest-c64", "forest of 200 trees, 1 row, 64 clients", "forest", 1, 64, beside="ping", quick=True, guarded=True
    ),
    Work("forest-c1", "the same, 1 client", "forest", 1, 1, quick=True),
    Work("forest-100-c16", "the same, 100 rows, 16 clients", "forest", 100, 16),
    Work("forest-c64-large", "the same, 1 row, 64 clients, 5 MB bodies beside", "forest", 1, 64, beside="large"),
    Work("boosting-c16", "boosting, 1 row, 16 clients", "boosting", 1, 16, baseline="classic1", quick=True),
    Work("boosting-5mb-c4", "boosting, 5 MB, 4 clients", "boosting", 33_000, 4, baseline="classic1"),
)


@dataclass(frozen=True)
class Target:
    """What a figure is to be.

    Attributes:
        work: a work's name; "forest" for what is measured of a server as such, "large" and "train" for their rows.
        measure: ``rate`` answers a second; ``ping`` p99 of /ping in ms; ``tail`` p99 / p50 of the answers; ``memory``
            proportional set size; ``start`` seconds to the first prediction; ``sharing`` memory of four workers;
            ``time`` of training.
        system: whose.
        of: the system or figure that it is divided by.
        bound: the smallest ratio for ``rate``, the largest for all others.

    """

    work: str
    measure: Measure
    system: str
    of: str
    bound: float

    def is_met(self, ratio: float) -> bool:
        """Tell whether a ratio is at or above the target, where more is better, or at or below it."""
        return ratio >= self.bound if self.measure == "rate" else ratio <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.measure == 'rate' else '≤'} {self.bound:g}"


TARGETS = (
    Target("iris-c64", "rate", "ours", "classic", 13),
    Target("iris-c64", "rate", "ours", "echo", 0.85),
    Target("forest-c64", "rate", "ours", "classic", 55),
    Target("forest-c64", "rate", "ours", "echo", 0.75),
    Target("forest-c64", "rate", "ours-public", "classic", 18),
    Target("forest-c1", "rate", "ours", "classic", 30),
    Target("forest-c1", "rate", "ours-sklearn", "classic", 10),
    Target("forest-100-c16", "rate", "ours", "classic", 11),
    Target("forest-100-c16", "rate", "ours-sklearn", "classic", 6),
    Target("boosting-c16", "rate", "ours", "classic1", 16),
    Target("boosting-c16", "rate", "ours-sklearn", "classic1", 8),
    Target("boosting-5mb-c4", "rate", "ours", "classic1", 2),
    Target("boosting-5mb-c4", "rate", "ours-sklearn", "classic1", 1),
    Target("forest-c64", "ping", "ours", "ms", 6),
    Target("forest-c64", "tail", "ours", "p50", 3),
    Target("forest-c64-large", "tail", "ours", "p50", 5),
    Target("forest", "memory", "ours", "classic", 0.40),
    Target("forest", "memory", "ours-sklearn", "classic", 0.75),
    Target("large", "sharing", "ours-sklearn", "one worker", 1.3),
    Target("forest", "start", "ours", "classic", 0.2),
    Target("forest", "start", "ours-sklearn", "classic", 0.5),
    Target("train", "time", "ours", "a bare script", 1.15),
    Target("train", "memory", "ours", "a bare script", 1.3),
)
