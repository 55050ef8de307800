"""Pictures for the training report: pure functions that return one inline SVG each.

They are drawn by hand because matplotlib would not fit the image's size budget, and because a few lines of SVG are
sharper, smaller and easier to read aloud than a bitmap: no JavaScript, no network, tooltips, light and dark. The page
that shows them includes `svg.STYLE` once. What blue and orange say is also said by position, by a number or by dashes.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import auc, roc_curve

from tabular.evaluate import Importance
from tabular.svg import WIDTH, Plot, document, fixed, label_width, number, percent, text

MOST_CLASSES, MOST_CURVES, MOST_POINTS, MOST_BARS = 20, 8, 1_000, 20


def confusion_matrix(truth: NDArray[np.intp], predicted: NDArray[np.intp], labels: Sequence[Any]) -> str:
    """Draw counts and each row's shares; `truth` and `predicted` (n,) are positions in `labels`."""
    frequency = np.bincount(truth, minlength=len(labels))
    shown = np.sort(np.argsort(-frequency, kind="stable")[:MOST_CLASSES])
    names = [labels[index] for index in shown]
    counts = [[int(np.sum(predicted[truth == row] == column)) for column in shown] for row in shown]
    cell = max(32.0, 290 / len(names))
    tall = max(32.0, min(cell, 74.0))
    slanted = max(label_width(name) for name in names) > cell - 8
    left, top = 100.0, 96.0 if slanted else 46.0
    parts = [f'<text x="0" y="{top - 10}" class="muted small">true ↓ predicted →</text>']
    for column, name in enumerate(names):
        x, y = left + (column + 0.5) * cell, top - 10
        turn = f'transform="rotate(-38 {x} {y})"' if slanted else 'class="mid"'
        parts.append(f'<text x="{x}" y="{y}" {turn}>{text(name, 14)}<title>{text(name)}</title></text>')
    for row, name in enumerate(names):
        y = top + row * tall
        parts.append(f'<text x="{left - 8}" y="{y + tall / 2 + 4}" class="end">{text(name, 14)}')
        parts.append(f"<title>{text(name)}</title></text>")
        for column, count in enumerate(counts[row]):
            share = count / max(1, frequency[shown[row]])
            tip = f"true {name}, predicted {names[column]}: {count:,} rows, {percent(share)} of the true {name}"
            x = left + column * cell
            parts.append(_cell(x, y, cell, tall, count=count, share=share, correct=row == column, tip=tip))
    height = top + len(names) * tall + 8
    if len(names) < len(labels):
        height += 18
        note = f"The {len(names)} most frequent of {len(labels)} classes."
        parts.append(f'<text x="{left}" y="{height - 6}" class="muted small">{note}</text>')
    label = f"Confusion matrix: {int(np.sum(truth == predicted)):,} of {len(truth):,} rows are on the diagonal"
    return document(left + len(names) * cell + (58 if slanted else 10), height, label, parts)


def roc_curves(truth: NDArray[np.intp], probabilities: NDArray[np.float64], classes: Sequence[Any]) -> str:
    """Draw the ROC curve of the second of two classes, or one against the rest for the most frequent of several.

    `truth` (n,) holds positions; column c of `probabilities` (n, k) is that of position c, labelled `classes[c]`.
    A class that is absent, or alone, has no curve.
    """
    frequency = np.bincount(truth, minlength=len(classes))[: len(classes)]
    candidates = [1] if len(classes) == 2 else np.argsort(-frequency, kind="stable").tolist()  # noqa: PLR2004
    drawable = [column for column in candidates if 0 < frequency[column] < len(truth)]
    shown = sorted(drawable[:MOST_CURVES])
    plot = Plot(0, 1, 0, 1, height=345)
    parts = [*plot.axes("false positive rate", "true positive rate"), plot.path([0, 1], [0, 1], 'class="guide"')]
    legend = plot.y(0) - 18 * len(shown)
    for index, column in enumerate(shown):
        false, true, _ = roc_curve(truth == column, probabilities[:, column])
        area = f"AUC {auc(false, true):.3f}"
        keep = np.unique(np.linspace(0, len(false) - 1, 400).astype(int))
        stroke = f'style="stroke:var(--c{index})"' + (' stroke-dasharray="7 3"' if index > 3 else "")  # noqa: PLR2004
        tip = f"{classes[column]}: {area}"
        parts.append(plot.path(false[keep], true[keep], f'class="curve" {stroke}', tip))
        x, y = plot.x(0.4), legend + 18 * index
        parts.append(f'<path d="M{x:.1f} {y - 4:.1f}h24" class="curve" {stroke}/>')
        parts.append(f'<text x="{x + 32:.1f}" y="{y:.1f}">{text(classes[column], 13)}<title>{text(tip)}</title></text>')
        parts.append(f'<text x="{plot.right - 6:.1f}" y="{y:.1f}" class="end">{area}</text>')
    return document(WIDTH, plot.height, f"ROC curves of {len(shown)} of {len(classes)} classes", parts)


def predicted_against_true(truth: NDArray[Any], predicted: NDArray[Any]) -> str:
    """Draw at most 1,000 rows as points around the diagonal on which a perfect prediction lies."""
    pairs = _finite(np.column_stack([truth, predicted]))
    if len(pairs) > MOST_POINTS:
        pairs = pairs[np.random.default_rng(0).choice(len(pairs), MOST_POINTS, replace=False)]
    low, high = _limits(pairs, margin=0.03)
    plot = Plot(low, high, low, high, height=345)
    parts = [*plot.axes("true", "predicted"), plot.path([low, high], [low, high], 'class="guide"')]
    radius = 3.6 if len(pairs) <= 300 else 2.4  # noqa: PLR2004
    parts += [f'<circle cx="{plot.x(x):.1f}" cy="{plot.y(y):.1f}" r="{radius}" class="dot"/>' for x, y in pairs]
    return document(WIDTH, plot.height, f"Predicted against true values of {len(pairs):,} rows", parts)


def histogram(values: NDArray[Any], name: str, mark: float | None = None) -> str:
    """Draw how `values` (n,) are distributed, with a dashed line at `mark` where one is given."""
    values = _finite(np.asarray(values, dtype=np.float64).reshape(-1, 1))[:, 0]
    low, high = _limits(values)
    edges = np.linspace(low, high, min(40, max(5, math.ceil(2 * len(values) ** (1 / 3)))) + 1)
    counts, _ = np.histogram(values, edges)
    plot = Plot(low, high, 0, max(1.0, 1.08 * counts.max()), height=345)
    parts = plot.axes(name, "rows")
    for count, start, end in zip(counts, edges[:-1], edges[1:], strict=True):
        x, y = plot.x(start), plot.y(count)
        parts.append(f'<rect x="{x + 0.5:.1f}" y="{y:.1f}" width="{max(0.5, plot.x(end) - x - 1):.1f}"')
        parts.append(f' height="{plot.y(0) - y:.1f}" class="right">')
        parts.append(f"<title>{number(start)} to {number(end)}: {count:,} rows</title></rect>")
    if mark is not None and low <= mark <= high:
        parts.append(plot.path([mark, mark], [0, plot.top], 'class="mark"'))
    return document(WIDTH, plot.height, f"Distribution of {name} over {len(values):,} rows", parts)


def importance_bars(importances: Sequence[Importance]) -> str:
    """Draw the 20 largest importances as bars; a whisker is one standard deviation on each side."""
    rows = [
        (item.column, item.mean, item.deviation, fixed(item.mean), f"{fixed(item.mean)} ± {fixed(item.deviation)}")
        for item in importances[:MOST_BARS]
    ]
    return _bars(rows, f"Permutation importance of {len(rows)} columns")


def class_bars(truth: NDArray[np.intp], labels: Sequence[Any]) -> str:
    """Draw how many rows each class has; `truth` (n,) holds positions in `labels`. The rarest beyond 20 are one bar."""
    counts = np.bincount(truth, minlength=len(labels))
    order = np.argsort(-counts, kind="stable")
    bars = [(str(labels[index]), int(counts[index])) for index in order[:MOST_BARS]]
    if len(order) > MOST_BARS:
        bars.append((f"{len(order) - MOST_BARS} others", int(counts[order[MOST_BARS:]].sum())))
    shares = [percent(count / max(1, len(truth))) for _, count in bars]
    rows = [(name, count, 0.0, share, f"{count:,} rows") for (name, count), share in zip(bars, shares, strict=True)]
    return _bars(rows, f"Rows of each of {len(labels)} classes")


def _bars(rows: Sequence[tuple[str, float, float, str, str]], label: str) -> str:
    """Draw (name, value, deviation, caption, tooltip) as horizontal bars from a common zero."""
    left, right, step = 130.0, WIDTH - 54, 26.0
    low = min(0.0, *(value - deviation for _, value, deviation, *_ in rows), 0.0)
    high = max(0.0, *(value + deviation for _, value, deviation, *_ in rows), 0.0)
    scale = (right - left) / ((high - low) or 1.0)
    zero = left - low * scale
    parts = []
    for index, (name, value, deviation, caption, tip) in enumerate(rows):
        y, end = step * index + 4, zero + value * scale
        parts.append(f"<g><title>{text(name)}: {text(tip)}</title>")
        parts.append(f'<text x="{left - 10}" y="{y + 13}" class="end">{text(name, 16)}</text>')
        parts.append(f'<rect x="{min(zero, end):.1f}" y="{y}" width="{abs(end - zero):.1f}" height="18" rx="2"')
        parts.append(f' class="{"right" if value >= 0 else "wrong"}"/>')
        if deviation:
            reach = deviation * scale
            parts.append(f'<path d="M{end - reach:.1f} {y + 9}h{2 * reach:.1f}m0 -4v8m{-2 * reach:.1f} 0v-8"')
            parts.append(' class="whisker" fill="none"/>')
        parts.append(f'<text x="{WIDTH}" y="{y + 13}" class="end">{text(caption)}</text></g>')
    height = step * len(rows) + 4
    parts.append(f'<path d="M{zero:.1f} 0v{height:g}" class="axis"/>')
    return document(WIDTH, height, label, parts)


def _cell(x: float, y: float, wide: float, tall: float, *, count: int, share: float, correct: bool, tip: str) -> str:
    box = f'x="{x + 1:.1f}" y="{y + 1:.1f}" width="{wide - 2:.1f}" height="{tall - 2:.1f}" rx="3"'
    if not count:
        return f'<rect {box} class="empty"><title>{text(tip)}</title></rect>'
    ink = "on" if share > 0.5 else ""  # noqa: PLR2004
    middle, roomy = x + wide / 2, min(wide, tall) >= 44  # noqa: PLR2004
    opacity = 0.1 + 0.9 * share
    parts = [f'<g><title>{text(tip)}</title><rect {box} class="{"right" if correct else "wrong"}"']
    parts.append(f' fill-opacity="{opacity:.2f}"/>')
    line = y + tall / 2 + (0 if roomy else 4)
    size = "big" if roomy else "small"
    parts.append(f'<text x="{middle:.1f}" y="{line:.1f}" class="mid {size} {ink}">{count:,}</text>')
    if roomy:
        parts.append(f'<text x="{middle:.1f}" y="{line + 17:.1f}" class="mid small {ink}">{percent(share)}</text>')
    return "".join([*parts, "</g>"])


def _limits(values: NDArray[Any], margin: float = 0.0) -> tuple[float, float]:
    """Return the least and the largest value, apart even where all are the same; a margin is a share of their span."""
    if not values.size:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    near = max(abs(low), abs(high), 1e-100)
    pad = (high - low) * margin if high - low > 1e-6 * near else near / 10
    return low - pad, high + pad


def _finite(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Keep the rows (n, m) without NaN or infinity, and within what differences and ticks can be computed of."""
    kept: NDArray[np.float64] = np.asarray(rows, dtype=np.float64)
    kept = kept[np.isfinite(kept).all(axis=1)]
    return kept.clip(-1e150, 1e150)
