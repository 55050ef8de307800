"""The guard of CI: says the quick ratios, and fails only where one has fallen to less than half of what is kept.

Shared machines are noisy; what it is there for is the mistake that costs several times the speed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.results import Row

KEPT = Path(__file__).with_name("guard.json")
GROSS = 2.0


def judge(found: Sequence[Row], file: Path = KEPT) -> tuple[list[str], bool]:
    """Compare ratios with those kept.

    Returns:
        A line for each that is kept, and whether all of them are above half of it. One that is missing is not.

    """
    now = {key(row): row.ratio for row in found if is_guarded(row)}
    lines, good = [], True
    for name, kept in json.loads(file.read_text()).items():
        ratio = now.get(name, 0.0)
        fell = ratio * GROSS < kept
        good = good and not fell
        lines.append(f"{name:32} {ratio:6.2f}, kept {kept:6.2f}{'  FELL by more than half' if fell else ''}")
    return lines, good


def keep(found: Sequence[Row], file: Path = KEPT) -> None:
    """Write the ratios of ours to be compared with from now on."""
    ratios = {key(row): round(row.ratio, 2) for row in found if is_guarded(row)}
    file.write_text(json.dumps(ratios, indent=1) + "\n")


def is_guarded(row: Row) -> bool:
    """Tell whether a row is a rate of ours: noise in the others is larger than what would be found."""
    return row.system == "ours" and " " not in row.work


def key(row: Row) -> str:
    """Return a row's name in the file."""
    return f"{row.work} of {row.of}"
