"""The same request many times over: how long each took, and what went wrong."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class Latencies:
    """What many requests took.

    Attributes:
        milliseconds: of those that were answered, ascending.
        errors: the messages of the others.
        seconds: from the first request to the last answer.
        concurrency: requests at a time.
    """

    milliseconds: Sequence[float]
    errors: Sequence[str]
    seconds: float
    concurrency: int

    def percentile(self, percent: float) -> float:
        """Return the least time within which so many of the requests were answered."""
        rank = max(1, math.ceil(percent / 100 * len(self.milliseconds)))
        return self.milliseconds[rank - 1]

    def as_json(self) -> dict[str, float | int]:
        """Return the figures."""
        figures: dict[str, float | int] = {
            "Requests": len(self.milliseconds) + len(self.errors),
            "Errors": len(self.errors),
            "Concurrency": self.concurrency,
            "RequestsPerSecond": round(len(self.milliseconds) / self.seconds, 2) if self.seconds else 0.0,
        }
        if self.milliseconds:
            figures |= {f"P{percent}Ms": round(self.percentile(percent), 2) for percent in PERCENTILES}
            figures["MaxMs"] = round(self.milliseconds[-1], 2)
        return figures

    def __str__(self) -> str:
        """Return the figures in a line, as seen from here: the network is part of them."""
        count = len(self.milliseconds) + len(self.errors)
        words = [f"{count} requests, {self.concurrency} at a time"]
        if self.milliseconds:
            words += [f"p{percent} {self.percentile(percent):.1f} ms" for percent in PERCENTILES]
            words += [f"max {self.milliseconds[-1]:.1f} ms", f"{len(self.milliseconds) / self.seconds:.1f} a second"]
        return ", ".join([*words, f"{len(self.errors)} errors"])


def measure(ask: Callable[[], object], count: int, concurrency: int) -> Latencies:
    """Ask many times.

    Args:
        ask: one request; raises click.ClickException where it fails.
        count: of requests.
        concurrency: requests at a time.
    """

    def one(_number: int) -> float | str:
        begin = time.monotonic()
        try:
            ask()
        except click.ClickException as error:
            return error.message
        return (time.monotonic() - begin) * 1000

    begin = time.monotonic()
    with ThreadPoolExecutor(concurrency) as pool:
        results = list(pool.map(one, range(count)))
    seconds = time.monotonic() - begin
    good = sorted(each for each in results if isinstance(each, float))
    return Latencies(good, [each for each in results if isinstance(each, str)], seconds, concurrency)
