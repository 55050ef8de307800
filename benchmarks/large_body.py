"""How much memory a worker takes for a body of any size.

    PYTHONPATH=container/program python -m benchmarks.large_body --megabytes 1000

Trains on scikit-learn's digits, serves behind nginx, sends the rows again and again as one CSV body, and prints the
worker's peak of resident memory and the time it took.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

import requests

from tests import datasets, program

MEBIBYTE = 1 << 20


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the body")
    megabytes = parser.parse_args().megabytes
    digits = datasets.digits()
    text = "".join(",".join(row) + "\n" for row in digits.features(slice(None)))
    block = (text * (MEBIBYTE // len(text))).encode()
    with tempfile.TemporaryDirectory() as folder:
        base = program.write_job(Path(folder), {"estimator": "RandomForestClassifier", "n_estimators": "20"})
        digits.write(base / "input/data/training/digits.csv")
        trained = program.train(base)
        if trained.returncode:
            raise SystemExit(trained.stderr)
        limits = {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "0", "MODEL_SERVER_TIMEOUT": "3600", "MODEL_SERVER_WORKERS": "1"}
        with program.serving(base, program.PROGRAM, **limits) as server:
            (worker,) = server.children()["worker"]
            before, began = peak(worker), time.monotonic()
            answer = requests.post(
                f"{server.url}/invocations",
                data=(block for _ in range(megabytes * MEBIBYTE // len(block))),
                headers={"Content-Type": "text/csv"},
                stream=True,
                timeout=3600,
            )
            answer.raise_for_status()
            lines = sum(piece.count(b"\n") for piece in answer.iter_content(MEBIBYTE))
            seconds = time.monotonic() - began
            sys.stdout.write(
                f"{megabytes} MB, {lines} rows in {seconds:.0f} s; the worker's peak {peak(worker) / MEBIBYTE:.0f} MB"
                f", {before / MEBIBYTE:.0f} MB before\n"
            )


def peak(pid: int) -> int:
    """Return the most memory that a process has ever had resident, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    main()
