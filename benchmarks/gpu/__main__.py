"""The command: trains and serves two models on the GPU that is there, prints a table and writes it as JSON.

python -m benchmarks.gpu --out FOLDER         about six minutes
python -m benchmarks.gpu --quick              a dry run, on CPUs too
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import results
from benchmarks.gpu import card, serving, training

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS = ("what", "system", "clients", "images_per_s", "p50_ms", "p99_ms", "seconds", "gpu_percent", "failures")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 1 where a request was not answered, or wrongly."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), metavar="FOLDER")
    parser.add_argument("--quick", action="store_true", help="few images, small models, two seconds each")
    parser.add_argument("--seconds", type=float, help="how long each load lasts (4)")
    parser.add_argument("--only", nargs="+", default=["digits", "vision"], choices=["digits", "vision"])
    options = parser.parse_args(argv)
    seconds = options.seconds or (2 if options.quick else 4)
    rows: list[dict[str, Any]] = []
    troubles: dict[str, str] = {}
    machine = {**results.describe(1, seconds), **card.describe()}
    document = {"machine": machine, "rows": rows, "troubles": troubles}
    options.out.mkdir(parents=True, exist_ok=True)
    # Readable for nginx, whose workers may be another user.
    with tempfile.TemporaryDirectory(prefix="byoc-bench-") as name:
        Path(name).chmod(0o755)
        for task in _tasks(Path(name), options.quick):
            if task.kind in options.only:
                try:
                    _measure(task, seconds, quick=options.quick, rows=rows)
                except Exception as error:  # noqa: BLE001 - what was measured by then is kept
                    troubles[task.kind] = f"{type(error).__name__}: {error}"
                (options.out / "gpu.json").write_text(json.dumps(document, indent=1) + "\n")
    for line in table(rows):
        print(line)
    for kind, trouble in troubles.items():
        print(f"not measured to the end: {kind}: {trouble}")
    return int(bool(troubles) or any(row.get("failures") for row in rows))


def _tasks(folder: Path, quick: bool) -> list[training.Task]:
    if quick:
        vision = training.Task("vision", folder / "vision", images=64, epochs=2, batch=16, size="small")
        return [training.Task("digits", folder / "digits", images=1797, epochs=2, batch=64), vision]
    return [
        training.Task("digits", folder / "digits", images=1797, epochs=30, batch=64),
        training.Task("vision", folder / "vision", images=4096, epochs=4, batch=256),
    ]


def _measure(task: training.Task, seconds: float, *, quick: bool, rows: list[dict[str, Any]]) -> None:
    began = time.monotonic()
    task.prepare()
    say(f"{task.kind}: data written in {time.monotonic() - began:.1f} s")
    rows += training.measure(task, 1 if quick else 2, seconds, say)
    rows += serving.measure(task, (1, 16) if quick else (1, 16, 64, 256), seconds, say)
    say(f"{task.kind}: {time.monotonic() - began:.0f} s in all")


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the lines of the table for people."""
    shown = [[str(row.get(name, "")) for name in COLUMNS] for row in rows]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *shown, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [list(COLUMNS), *shown]
    ]


def say(text: str) -> None:
    """Tell of progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
