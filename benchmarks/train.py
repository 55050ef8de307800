"""What `train` costs on top of the fit: the whole process against a bare script with the same estimator.

    python benchmarks/train.py --rows 1000000 --rounds 3

Both run by turns, each a process of its own, on one file: the breast cancer data (569 rows, 30 numbers, a real data
set of scikit-learn's) repeated to so many rows, each number with 5 % of noise and one label in ten the other one, so
that there is something left to learn. What is measured is the time from start to end, the CPU time and the largest
resident memory of the process, as the kernel counts them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer

ROOT = Path(__file__).parents[1]
NOISE = 0.05
FLIPPED = 0.1
BLOCK = 50_000


def measure(rows: int = 1_000_000, rounds: int = 3) -> dict[str, float]:
    """Run both by turns and return how many times as much `train` takes, by the medians of the rounds.

    Returns:
        ``time``, ``cpu`` and ``memory``: ratios; ``bare_time`` in seconds and ``bare_memory`` in bytes; ``rows`` and
        ``rounds`` as given.

    Raises:
        subprocess.CalledProcessError: one of the two failed.

    """
    costs: dict[str, list[tuple[float, float, float]]] = {"bare": [], "train": []}
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        for folder in ("model", "output", "input/config", "bare"):
            (base / folder).mkdir(parents=True)
        data = write_data(base / "input/data/training/data.csv", rows)
        commands = {
            "bare": [sys.executable, str(Path(__file__).with_name("bare_train.py")), str(data), str(base / "bare")],
            "train": [sys.executable, str(ROOT / "container/program/train")],
        }
        # Both wait for one another's threads in the same way; what that costs is not what is measured here.
        environ = {**os.environ, "SAGEMAKER_BASE_DIR": name, "OMP_WAIT_POLICY": "PASSIVE"}
        for _ in range(rounds):
            for each, command in commands.items():
                costs[each].append(cost(command, environ))
    bare, ours = ([statistics.median(column) for column in zip(*costs[each], strict=True)] for each in commands)
    ratios = dict(zip(("time", "cpu", "memory"), np.divide(ours, bare).tolist(), strict=True))
    return {**ratios, "bare_time": bare[0], "bare_memory": bare[2], "rows": rows, "rounds": rounds}


def cost(command: list[str], environ: dict[str, str]) -> tuple[float, float, float]:
    """Run a program; return the seconds it took, its CPU seconds and its largest resident memory in bytes."""
    began = time.monotonic()
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        said = process.stderr.read()
        # RUSAGE_CHILDREN would tell the largest of all children so far, not this one's.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.stderr.buffer.write(said)
        raise subprocess.CalledProcessError(process.returncode, command)
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def write_data(file: Path, rows: int) -> Path:
    """Write the table as CSV: the label, text, first, and no header row."""
    bunch, random = load_breast_cancer(), np.random.default_rng(0)
    file.parent.mkdir(parents=True)
    with file.open("w") as out:
        for start in range(0, rows, BLOCK):
            chosen = random.integers(len(bunch.target), size=min(BLOCK, rows - start))
            numbers = bunch.data[chosen] * random.normal(1, NOISE, (len(chosen), bunch.data.shape[1]))
            labels = bunch.target_names[bunch.target[chosen] ^ (random.random(len(chosen)) < FLIPPED)]
            for label, row in zip(labels, numbers, strict=True):
                out.write(f"{label},{','.join(f'{number:.5g}' for number in row)}\n")
    return file


def main() -> None:
    """Print the ratios as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(json.dumps(measure(options.rows, options.rounds), indent=2))  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
