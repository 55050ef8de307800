"""The picture of the README: how many times as fast as the classic sample, on a logarithmic scale, one line a work."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from benchmarks.works import WORKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.results import Row
    from benchmarks.works import Work

TIMES = "\u00d7"
WIDTH, LEFT, RIGHT, TOP, LINE = 760, 300, 740, 56, 40
# What lies beyond the ends is drawn at them.
TICKS = (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
LOW, HIGH = TICKS[0], TICKS[-1]
STYLE = """
:root { --ink:#1b2026; --muted:#626b75; --line:#e3e6e8; --ours:#0b67a8; --limit:#c2500a }
@media (prefers-color-scheme: dark) {
  :root { --ink:#e9ecef; --muted:#9ba5b0; --line:#323941; --ours:#62b4f0; --limit:#f5a35c } }
text { font:12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill:var(--ink) }
.muted { fill:var(--muted) } .mid { text-anchor:middle } .bold { font-weight:600 }
.grid { stroke:var(--line) } .one { stroke:var(--muted) } .limit { stroke:var(--limit); stroke-width:3 }
.ours { fill:var(--ours) } .sklearn { fill:none; stroke:var(--ours); stroke-width:2 } .other { fill:var(--muted) }
"""
# What is drawn of whom; all other systems with a model behind them are small dots. Of the limits the nearest is enough.
SHAPES = {
    "ours": '<circle class="ours" cx="{x:.1f}" cy="{y}" r="6"/>',
    "ours-sklearn": '<circle class="sklearn" cx="{x:.1f}" cy="{y}" r="5"/>',
    "echo": '<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>',
}
OTHER = '<circle class="other" cx="{x:.1f}" cy="{y}" r="3"/>'
LEGEND = (
    ("ours", "ours"),
    ("ours-sklearn", "without ONNX"),
    ("", "others"),
    ("echo", "gunicorn without a model"),
)
LEFT_OUT = ("predict", "nginx", "flask-echo", "ours-public")


def draw(found: Sequence[Row], file: Path, caption: str) -> None:
    """Write the picture of the works that were measured as SVG, with a caption that says where and when."""
    names = {row.work for row in found}
    works = [work for work in WORKS if work.name in names and work.beside != "large"]
    height = TOP + LINE * len(works) + 56
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>Requests a second, as a multiple of the classic sample's</title>",
        f"<style>{STYLE}</style>",
        *_legend(),
        *_axis(height - 56),
        f'<text class="muted" x="14" y="{height - 10}">{escape(caption)}</text>',
    ]
    for number, work in enumerate(works):
        parts += _line(work, [row for row in found if row.work == work.name], TOP + LINE * number + LINE // 2)
    file.write_text("\n".join([*parts, "</svg>\n"]))


def _legend() -> Iterator[str]:
    at = 14
    for system, text in LEGEND:
        yield _shape(system, at, 20)
        yield f'<text x="{at + 12}" y="24">{escape(text)}</text>'
        at += 34 + 7 * len(text)


def _axis(bottom: int) -> Iterator[str]:
    for tick in TICKS:
        kind = "one" if tick == 1 else "grid"
        yield f'<line class="{kind}" x1="{_x(tick):.1f}" x2="{_x(tick):.1f}" y1="{TOP}" y2="{bottom}"/>'
        yield f'<text class="muted mid" x="{_x(tick):.1f}" y="{bottom + 16}">{tick:g} {TIMES}</text>'


def _line(work: Work, rows: Sequence[Row], y: int) -> Iterator[str]:
    yield f'<text x="14" y="{y}">{escape(work.about)}</text>'
    than = "of the classic" if work.baseline == "classic" else "of the classic with OMP_NUM_THREADS=1"
    yield f'<text class="muted" x="14" y="{y + 15}">{than}</text>'
    shown = [row for row in rows if row.of == work.baseline and row.system not in LEFT_OUT]
    # Ours last, so that it lies on top.
    for row in sorted(shown, key=lambda row: row.system == "ours"):
        yield _shape(row.system, _x(row.ratio), y)
        if row.system == "ours":
            yield f'<text class="mid bold" x="{_x(row.ratio):.1f}" y="{y - 10}">{row.ratio:.2g} {TIMES}</text>'


def _shape(system: str, x: float, y: int) -> str:
    return SHAPES.get(system, OTHER).format(x=x, y=y, top=y - 9, bottom=y + 9)


def _x(ratio: float) -> float:
    share = math.log(min(max(ratio, LOW), HIGH) / LOW) / math.log(HIGH / LOW)
    return LEFT + 20 + share * (RIGHT - LEFT - 40)
