"""What the report's pictures are drawn with: numbers and texts as SVG shows them, axes, and the document around."""

import math
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

WIDTH = 400.0  # about a card's on a desk; on a phone it shrinks by a fifth and stays legible

STYLE = """
:root { --ink:#1b2026; --muted:#626b75; --line:#e3e6e8; --right:#0b67a8; --wrong:#c2500a; --on:#fff;
  --c0:#0b67a8; --c1:#c2500a; --c2:#00795c; --c3:#a8508a; --c4:#b07800; --c5:#3d9bd1; --c6:#6b5b95; --c7:#56606b }
@media screen and (prefers-color-scheme: dark) { :root { --ink:#e9ecef; --muted:#9ba5b0; --line:#323941;
  --right:#62b4f0; --wrong:#f5a35c; --on:#0d1217; --c0:#62b4f0; --c1:#f5a35c; --c2:#3fc9a0; --c3:#e59bcb; --c4:#edc948;
  --c5:#a9d6f5; --c6:#b9a7ec; --c7:#b6bec7 } }
.chart { display:block; width:100%; height:auto; margin:0 auto }
.chart text { font:12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill:var(--ink);
  font-variant-numeric:tabular-nums }
.chart .muted { fill:var(--muted) } .chart .small { font-size:11px } .chart .big { font-size:17px; font-weight:600 }
.chart .on { fill:var(--on) } .chart .end { text-anchor:end } .chart .mid { text-anchor:middle }
.chart .grid { stroke:var(--line) } .chart .axis { stroke:var(--muted) }
.chart .guide { stroke:var(--muted); stroke-dasharray:4 4; fill:none }
.chart .mark { stroke:var(--ink); stroke-width:1.5; stroke-dasharray:5 3 }
.chart .right { fill:var(--right) } .chart .wrong { fill:var(--wrong) } .chart .empty { fill:var(--line); opacity:.45 }
.chart .dot { fill:var(--right); fill-opacity:.5 } .chart .whisker { stroke:var(--ink); stroke-width:1.5 }
.chart .curve { fill:none; stroke-width:2.25; stroke-linejoin:round }
"""

MINUS = "\u2212"
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def text(value: object, most: float = math.inf) -> str:
    """Escape anything for HTML and XML, cut with an ellipsis at `most` columns (an ideograph takes two)."""
    clean = _UNPRINTABLE.sub("\ufffd", str(value)) or "(empty)"
    used = 0
    for index, character in enumerate(clean):
        used += _columns(character)
        if used > most:
            return escape(clean[: max(1, index - 1)]) + "…"
    return escape(clean)


def number(value: float) -> str:
    """Write a number for people: four significant digits below ten thousand, whole and grouped above."""
    if not math.isfinite(value):
        return "–"  # noqa: RUF001
    magnitude = abs(value)
    if magnitude and not 1e-4 <= magnitude < 1e9:  # noqa: PLR2004
        written = f"{value:.3g}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
    else:
        written = f"{value:,.0f}" if magnitude >= 9_999.5 else f"{value:,.4g}"  # noqa: PLR2004
    return written.replace("-", MINUS)


def fixed(value: float) -> str:
    """Write a score with three decimals."""
    return f"{value:.3f}".replace("-0.000", "0.000").replace("-", MINUS)


def percent(share: float) -> str:
    """Write a share of one with a decimal, never rounded up to 100 % nor down to 0 %."""
    shown = round(100 * share, 1)
    if share < 1 <= shown / 100:
        return "> 99.9\u00a0%"
    return f"{shown:g}\u00a0%" if share <= 0 or shown > 0 else "< 0.1\u00a0%"


@dataclass(frozen=True)
class Plot:
    """Maps data to pixels and draws the axes."""

    low: float
    high: float
    bottom: float
    top: float
    height: float
    left: float = 62.0
    right: float = WIDTH - 10

    def x(self, value: float) -> float:
        """Return how far to the right a value stands."""
        return self.left + (value - self.low) / (self.high - self.low) * (self.right - self.left)

    def y(self, value: float) -> float:
        """Return how far down a value stands."""
        return self.height - 46 - (value - self.bottom) / (self.top - self.bottom) * (self.height - 58)

    def axes(self, across: str, up: str) -> list[str]:
        """Return both axes with their ticks, grid and names."""
        floor = self.y(self.bottom)
        parts = []
        for tick in _ticks(self.low, self.high):
            parts.append(f'<path d="M{self.x(tick):.1f} {floor:.1f}V12" class="grid"/>')
            parts.append(f'<text x="{self.x(tick):.1f}" y="{floor + 17:.1f}" class="mid muted">{number(tick)}</text>')
        for tick in _ticks(self.bottom, self.top):
            parts.append(f'<path d="M{self.left} {self.y(tick):.1f}H{self.right}" class="grid"/>')
            parts.append(
                f'<text x="{self.left - 7}" y="{self.y(tick) + 4:.1f}" class="end muted">{number(tick)}</text>'
            )
        parts.append(f'<path d="M{self.left} {floor:.1f}H{self.right}" class="axis"/>')
        middle = (self.left + self.right) / 2
        parts.append(f'<text x="{middle:.1f}" y="{self.height - 8:.1f}" class="mid">{text(across, 50)}</text>')
        turn = f'transform="translate(12 {(12 + floor) / 2:.1f}) rotate(-90)"'
        return [*parts, f'<text {turn} class="mid">{text(up, 50)}</text>']

    def path(self, xs: Iterable[float], ys: Iterable[float], attributes: str, tip: str = "") -> str:
        """Return a line through points, with a tooltip where there is one."""
        points = "L".join(f"{self.x(x):.1f} {self.y(y):.1f}" for x, y in zip(xs, ys, strict=True))
        return f'<path d="M{points}" {attributes}>' + (f"<title>{text(tip)}</title>" if tip else "") + "</path>"


def document(width: float, height: float, label: str, parts: Iterable[str]) -> str:
    """Return a picture of that many units, which a screen reader names by its label."""
    # Wide pictures (many classes) keep three quarters of their size and scroll, rather than become unreadable.
    style = f"max-width:{1.25 * width:.0f}px" + (f";min-width:{0.75 * width:.0f}px" if width > 1.2 * WIDTH else "")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {width:g} {height:g}" style="{style}"'
        f' role="img" aria-label="{text(label)}"><title>{text(label)}</title>{"".join(parts)}</svg>'
    )


def _ticks(low: float, high: float) -> list[float]:
    """Return some five round numbers between two."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    return [tick * step for tick in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _columns(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def label_width(value: object) -> float:
    """Estimate a label's width in pixels."""
    return 6.8 * min(14, sum(map(_columns, str(value))))
