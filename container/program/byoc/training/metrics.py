"""Metrics, as SageMaker finds them: it matches regular expressions against the lines a job prints."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NUMBER = r"([0-9eE.+-]+)"


def emit(name: str, value: float) -> None:
    """Print ``name=value;`` on a line of its own, at once; a value that is not finite is left out."""
    if math.isfinite(value):
        sys.stdout.write(f"{name}={value:.6g};\n")
        sys.stdout.flush()


def definitions(names: Iterable[str]) -> list[dict[str, str]]:
    """Return the ``MetricDefinitions`` that make SageMaker see these metrics."""
    return [{"Name": name, "Regex": f"^{name}={NUMBER};"} for name in names]
