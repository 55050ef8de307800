"""The command: trains on 1, 2 and 4 hosts, prints what that costs, and simulates as many as 128.

PYTHONPATH=container/program python -m benchmarks.wide    two rounds: seven minutes
  --quick               one round
  --picture FILE.svg    and draw it
  --from FILE.json      no measuring: what an earlier run kept
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import results
from benchmarks.wide import measures, picture, projection
from benchmarks.wide.measures import Figures
from tests import engine

if TYPE_CHECKING:
    from collections.abc import Sequence

KEPT = Path("benchmarks/results/wide.json")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.wide", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--rounds", type=int, default=2, help="how often everything is run (2)")
    parser.add_argument("--image", default="byoc-wide", help="the name of the image that is built (byoc-wide)")
    parser.add_argument("--output", type=Path, default=KEPT, metavar="FILE")
    parser.add_argument("--from", dest="kept", type=Path, metavar="FILE")
    parser.add_argument("--picture", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    if options.kept:
        document = json.loads(options.kept.read_text())
        figures, machine = Figures.read(document["figures"]), document["machine"]
    else:
        figures, machine = _measure(options.image, 1 if options.quick else options.rounds)
    known, jobs = measures.costs(figures), measures.jobs(figures)
    checks = measures.checks(figures)
    projected = projection.all_jobs(jobs, known)
    for part in (measures.lines(figures), measures.check_lines(checks), projection.lines(projected)):
        print("\n".join(part), end="\n\n")
    if not options.kept:
        document = {
            "machine": machine,
            "figures": figures.document(),
            "costs": asdict(known),
            "checks": [asdict(each) | {"error": each.error} for each in checks],
        }
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(document, indent=1) + "\n")
    if options.picture:
        picture.draw(projected, measures.points(figures), options.picture, _caption(machine))
    return 0


def _measure(image: str, rounds: int) -> tuple[Figures, dict[str, Any]]:
    machine = {**results.describe(rounds, 0), "limits": "0.5 CPUs and 1 GB a host"}
    say(f"building {image}")
    built = engine.build(image, arguments={"EXTRAS": "cluster"})
    if built.returncode:
        sys.exit(f"the image cannot be built: {built.stderr[-2000:]}")
    with tempfile.TemporaryDirectory(prefix="byoc-wide-") as name:
        figures = measures.measure(image, rounds, Path(name), say)
    return figures, {**machine, "load_after": round(os.getloadavg()[0], 1)}


def _caption(machine: dict[str, Any]) -> str:
    return (
        f"Lines: simulated. Points: the least of {machine['rounds']} rounds on containers with {machine['limits']}, "
        f"{machine['cpus']} CPUs in all, {machine['date']}"
    )


def say(text: str) -> None:
    """Tell of progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
