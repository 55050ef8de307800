"""The command: reads its arguments, runs the plan, prints the table and saves it."""

from __future__ import annotations

import argparse
import fnmatch
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import guard, peers, picture, results
from benchmarks.runner import Plan, Runner
from benchmarks.systems import OWN, PATH
from benchmarks.works import WORKS

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path(__file__).parent
EXTRAS = ("sharing", "train")
QUICK = ("ours", "classic1", "echo")
EXAMPLES = """examples:
  python -m benchmarks                              everything, three rounds of 8 seconds: about half an hour
  python -m benchmarks --quick                      the usual suspects, within three minutes
  python -m benchmarks --only 'forest*'             some of the works
  python -m benchmarks --systems ours echo          some of the systems
  python -m benchmarks --peers litserve bentoml     these too; installed where they are not, in a cache of their own
  python -m benchmarks --rounds 5 --seconds 15      longer
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 1 where an answer of ours was wrong or the guard is alarmed."""
    options = parse(argv)
    # Ends as Ctrl-C does: with every server that is running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if not shutil.which("wrk", path=PATH):
        say("wrk is missing, which sends the requests; install it: apt-get install wrk")
        return 1
    plan = make_plan(options)
    machine = results.describe(plan.rounds, plan.seconds)
    # Readable for nginx, whose workers may be another user.
    with tempfile.TemporaryDirectory(prefix="byoc-bench-") as name:
        Path(name).chmod(0o755)
        figures = Runner(plan, Path(name), say).run()
    found = results.rows(figures)
    for line in results.table(found):
        print(line)
    for label, trouble in figures.troubles.items():
        print(f"not measured: {label}: {trouble}")
    results.save(options.output, figures, found, machine)
    if options.picture:
        picture.draw(found, options.picture, results.caption(machine))
    wrong = [work for (work, system), count in figures.failures.items() if count and system.startswith("ours")]
    for work in wrong:
        print(f"FAILED: requests of {work} that ours did not answer, or wrongly")
    failed = bool(wrong) or any(label.startswith("ours") for label in figures.troubles)
    return int(not _guard(options, found) or failed)


def _guard(options: argparse.Namespace, found: Sequence[results.Row]) -> bool:
    if options.keep:
        guard.keep(found)
    if not options.guard:
        return True
    lines, good = guard.judge(found)
    print("\n".join(lines))
    return good


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure this repository's server against the classic sample, its peers and the limits.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [system.name for system in OWN]
    parser.add_argument("--quick", action="store_true", help=f"{', '.join(QUICK)} on four works, 2 rounds of 3 s")
    parser.add_argument("--guard", action="store_true", help="a quicker run, compared with benchmarks/guard.json")
    parser.add_argument("--keep", action="store_true", help="write this run's ratios into benchmarks/guard.json")
    parser.add_argument("--only", nargs="+", default=["*"], metavar="WORK", help="works, by name or pattern")
    parser.add_argument("--systems", nargs="+", choices=names, metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument(
        "--peers", nargs="*", choices=list(peers.PEERS), metavar="NAME", help=f"of {', '.join(peers.PEERS)}"
    )
    parser.add_argument("--rounds", type=int, help="how often everything is run (3)")
    parser.add_argument("--seconds", type=float, help="how long each work is run (8)")
    parser.add_argument("--output", type=Path, default=FOLDER / "results" / "latest.json", metavar="FILE")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the picture of the README into this SVG")
    return parser.parse_args(argv)


def make_plan(options: argparse.Namespace) -> Plan:
    """Return what the arguments ask for."""
    short = options.quick or options.guard
    works = [work for work in WORKS if _chosen(work.name, options.only) and (work.quick or not short)]
    if options.guard:
        works = [work for work in works if work.guarded]
    names = options.systems or (QUICK if short else [system.name for system in OWN])
    systems = [system for system in OWN if system.name in names]
    return Plan(
        works,
        [*systems, *peers.ready(options.peers, say, installed=not short and not options.systems)],
        options.rounds or (2 if short else 3),
        options.seconds or (2 if options.guard else 3 if short else 8),
        [] if short else [extra for extra in EXTRAS if _chosen(extra, options.only)],
    )


def _chosen(name: str, patterns: Sequence[str]) -> bool:
    """Tell whether a name is asked for: by a pattern, or by the beginning of it."""
    return any(fnmatch.fnmatch(name, pattern) or name.startswith(pattern) for pattern in patterns)


def say(text: str) -> None:
    """Tell of progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
