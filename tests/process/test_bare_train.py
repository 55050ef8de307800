"""`train` and the bare script that it is measured by do the same work, and the measurement runs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks import train as benchmark
from tests import program

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 1000


def test_both_fit_the_same_model(base: Path) -> None:
    data = benchmark.write_data(base / "input/data/training/data.csv", ROWS)
    script = program.ROOT / "benchmarks/bare_train.py"
    bare = subprocess.run(
        [sys.executable, script, data, base / "output"], capture_output=True, text=True, check=True
    ).stdout
    assert program.train(base).returncode == 0
    accuracy = json.loads((base / "model/metrics.json").read_text())["metrics"]["accuracy"]
    assert bare == f"accuracy={accuracy:.6f}\n"


def test_the_measurement_runs() -> None:
    told = benchmark.measure(ROWS, 1)
    assert (told["rows"], told["rounds"]) == (ROWS, 1)
    assert min(told.values()) > 0
