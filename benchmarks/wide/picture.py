"""The README's picture of going wide: time and cost against the number of hosts, measured points on simulated lines."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from benchmarks.picture import STYLE, TIMES
from benchmarks.wide.projection import HOSTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from benchmarks.wide.projection import Projected

WIDTH, HEIGHT = 760, 440
TOP, BOTTOM = 110, 370
# Left and right end of each panel.
TIME, COST = (70, 370), (450, 740)
SECONDS: Mapping[float, str] = {3: "3 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 36_000: "10 h"}
MULTIPLES: Mapping[float, str] = {0.5: "0.5", 1: "1", 2: "2", 5: "5", 10: "10", 30: "30", 100: "100"}
# Told apart by colour, and by the dashes where colours cannot be.
LINES = ("#0b67a8", "#c2500a", "#1a7f4b", "#8a3ffc", "#b0235f", "#7a6a00")
DARK = ("#62b4f0", "#f5a35c", "#5fd394", "#c0a2ff", "#ff8ab5", "#d9c85a")
DASHES = ("", "", "7 4", "2 3", "9 3 2 3", "12 4")


def draw(projected: Sequence[Projected], points: Mapping[str, Mapping[int, float]], file: Path, caption: str) -> None:
    """Write it as SVG; ``points`` are the measured seconds by a job's name and the number of hosts."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        "<title>What a training job on 1 to 128 hosts takes, and what it costs</title>",
        f"<style>{STYLE}{_colours()}</style>",
        *_legend([each.job.name for each in projected]),
        *_panel(TIME, SECONDS, "how long it takes"),
        *_panel(COST, MULTIPLES, "what it costs, of what one host does"),
        f'<text class="muted" x="14" y="{HEIGHT - 10}">{escape(caption)}</text>',
    ]
    for number, each in enumerate(projected):
        parts.append(_line(number, TIME, SECONDS, each.seconds))
        parts.append(_line(number, COST, MULTIPLES, each.cost))
        for count, seconds in points.get(each.job.name, {}).items():
            parts.append(_point(number, TIME, SECONDS, count, seconds))
            cost = count * seconds / points[each.job.name][1]
            parts.append(_point(number, COST, MULTIPLES, count, cost))
    file.write_text("\n".join([*parts, "</svg>\n"]))


def _colours() -> str:
    light = "".join(f".c{number} {{ stroke:{colour}; fill:{colour} }} " for number, colour in enumerate(LINES))
    dark = "".join(f".c{number} {{ stroke:{colour}; fill:{colour} }} " for number, colour in enumerate(DARK))
    return (
        f"{light}\n@media (prefers-color-scheme: dark) {{ {dark}}}\n"
        ".c0.line, .c1.line, .c2.line, .c3.line, .c4.line, .c5.line { fill:none; stroke-width:2 }\n"
    )


def _legend(names: Sequence[str]) -> Iterator[str]:
    for number, name in enumerate(names):
        x, y = 14 + 370 * (number % 2), 20 + 20 * (number // 2)
        yield f'<path class="c{number} line" d="M{x} {y}h30" stroke-dasharray="{DASHES[number]}"/>'
        yield f'<text x="{x + 38}" y="{y + 4}">{escape(name)}</text>'


def _panel(ends: tuple[int, int], ticks: Mapping[float, str], title: str) -> Iterator[str]:
    yield f'<text class="bold" x="{ends[0]}" y="{TOP - 14}">{escape(title)}</text>'
    for value, text in ticks.items():
        y = _y(ticks, value)
        kind = "one" if text == "1" else "grid"
        yield f'<line class="{kind}" x1="{ends[0]}" x2="{ends[1]}" y1="{y:.1f}" y2="{y:.1f}"/>'
        shown = f"{text} {TIMES}" if ticks is MULTIPLES else text
        yield f'<text class="muted" text-anchor="end" x="{ends[0] - 8}" y="{y + 4:.1f}">{shown}</text>'
    for count in HOSTS:
        yield f'<text class="muted mid" x="{_x(ends, count):.1f}" y="{BOTTOM + 18}">{count}</text>'
    yield f'<text class="muted mid" x="{sum(ends) / 2}" y="{BOTTOM + 36}">hosts</text>'


def _line(number: int, ends: tuple[int, int], ticks: Mapping[float, str], values: Mapping[int, float]) -> str:
    path = " ".join(f"{_x(ends, count):.1f},{_y(ticks, value):.1f}" for count, value in values.items())
    return f'<polyline class="c{number} line" points="{path}" stroke-dasharray="{DASHES[number]}"/>'


def _point(number: int, ends: tuple[int, int], ticks: Mapping[float, str], count: int, value: float) -> str:
    return f'<circle class="c{number}" cx="{_x(ends, count):.1f}" cy="{_y(ticks, value):.1f}" r="4"/>'


def _x(ends: tuple[int, int], count: int) -> float:
    return ends[0] + (ends[1] - ends[0]) * math.log2(count) / math.log2(HOSTS[-1])


def _y(ticks: Mapping[float, str], value: float) -> float:
    low, high = min(ticks), max(ticks)
    return BOTTOM - (BOTTOM - TOP) * math.log(min(max(value, low), high) / low) / math.log(high / low)
