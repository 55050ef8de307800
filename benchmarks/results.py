"""Figures to ratios: of the same round, their median and their range, against the targets."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.systems import environ
from benchmarks.works import TARGETS, WORKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.runner import Figures
    from benchmarks.works import Target

TOOLS = ("nginx", "wrk")
LIBRARIES = ("flask", "gevent", "gunicorn", "numpy", "onnxruntime", "pandas", "scikit-learn")
# Of works and, for what is measured of a server as such, of their models.
BASELINES = {name: work.baseline for work in WORKS for name in (work.name, work.kind)}
# Figures that are compared with nothing but themselves: what their ratios are "of".
ABSOLUTE = {"ping": "ms", "tail": "p50", "sharing": "one worker", "time": "a bare script"}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        work: its name and, unless it is the rate, what was measured.
        system: whose figure.
        ratio: the median of the rounds' ratios.
        low, high: the smallest and the largest of them.
        of: what it is divided by.
        target: as `benchmarks.works.Target` writes it, "" where there is none.
        met: whether the ratio meets it, None where there is none.

    """

    work: str
    system: str
    ratio: float
    low: float
    high: float
    of: str
    target: str
    met: bool | None


def rows(figures: Figures) -> list[Row]:
    """Return every ratio: those with a target and, of all other systems, those to the work's baseline."""
    found = {}
    for target in TARGETS:
        row = _row(figures, target.work, target.measure, target.system, target.of, target)
        if row:
            found[row.work, row.system, row.of] = row
    for work, measure, system in figures.values:
        of = _baseline(figures, work, measure)
        row = _row(figures, work, measure, system, of)
        if row and system != of:
            found.setdefault((row.work, row.system, row.of), row)
    order = {name: number for number, (name, _, _) in enumerate(figures.values)}
    return sorted(found.values(), key=lambda row: (order[row.work.split()[0]], row.work))


def _baseline(figures: Figures, work: str, measure: str) -> str:
    """Return what a figure without a target is divided by; where the classic did not run, its other self may have."""
    if measure in ABSOLUTE or work == "train":
        return ABSOLUTE.get(measure, "a bare script")
    of = BASELINES[work]
    return of if (work, measure, of) in figures.values else "classic1"


def _row(figures: Figures, work: str, measure: str, system: str, of: str, target: Target | None = None) -> Row | None:
    own = figures.values.get((work, measure, system))
    base = figures.values.get((work, measure, of))
    if of in ABSOLUTE.values():
        base = [1.0] * len(own or ())
    if not own or not base or not all(base):
        return None
    # What is measured once, not in rounds, is compared with the median.
    if len(own) != len(base):
        own, base = [statistics.median(own)], [statistics.median(base)]
    ratios = [mine / other for mine, other in zip(own, base, strict=True)]
    ratio = statistics.median(ratios)
    name = work if measure == "rate" else f"{work} {measure}"
    met = target.is_met(ratio) if target else None
    return Row(name, system, ratio, min(ratios), max(ratios), of, str(target or ""), met)


def table(found: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the table for people."""
    yield f"{'work':24} {'system':14} {'ratio':>8}  {'range':17} {'of':14} {'target':8}"
    last = ""
    for row in found:
        spread = f"{row.low:.3g}-{row.high:.3g}"
        met = {True: "met", False: "MISSED", None: ""}[row.met]
        shown = row.work if row.work != last else ""
        yield f"{shown:24} {row.system:14} {row.ratio:8.3g}  {spread:17} {row.of:14} {row.target:8} {met}".rstrip()
        last = row.work


def save(file: Path, figures: Figures, found: Sequence[Row], machine: dict[str, Any]) -> None:
    """Write everything as JSON."""
    failures = {f"{work} {system}": count for (work, system), count in figures.failures.items() if count}
    document = {
        "machine": machine,
        "rows": [asdict(row) for row in found],
        "failures": failures,
        "troubles": figures.troubles,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def describe(rounds: int, seconds: float) -> dict[str, Any]:
    """Return what the figures depend on: the machine, the versions, how long was measured, and who else was at work."""
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    # With -v nginx and wrk tell their versions, wrk with an exit code of 1.
    tools = {
        name: subprocess.run([name, "-v"], capture_output=True, text=True, check=False, env=environ()) for name in TOOLS
    }
    said = {name: (done.stdout + done.stderr).splitlines()[0] for name, done in tools.items()}
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        "cpus": os.cpu_count(),
        "cpu": cpu[0].partition(": ")[2] if cpu else platform.machine(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "tools": said,
        "versions": {name: _version(name) for name in LIBRARIES},
        "rounds": rounds,
        "seconds": seconds,
    }


def caption(machine: dict[str, Any]) -> str:
    """Return in a line where the figures of `describe` come from."""
    times = f"{machine['rounds']} rounds of {machine['seconds']:g} s"
    return f"Medians of {times} on {machine['cpus']} CPUs, 2 workers, {machine['date']}; load before: {machine['load']}"


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"
