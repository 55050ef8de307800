"""The card itself: how busy it is, and what it does without Lightning and without a server."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIELDS = ("utilization.gpu", "memory.used", "power.draw")
NAMES = ("gpu_percent", "gpu_memory_mib", "gpu_watts")
PERIOD_MS = 100


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Sample nvidia-smi for the length of a with-block; the dict has the means afterwards, {} without a GPU."""
    found: dict[str, float] = {}
    if not shutil.which("nvidia-smi"):
        yield found
        return
    query = f"--query-gpu={','.join(FIELDS)}"
    # Line by line, so that nothing is lost when it is ended.
    command = ["stdbuf", "-oL", "nvidia-smi", query, "--format=csv,noheader,nounits", "-lms", str(PERIOD_MS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield found
        finally:
            process.terminate()
            said = process.communicate()[0]
    rows = [line.split(", ") for line in said.splitlines()]
    samples = [[float(cell) for cell in row] for row in rows if len(row) == len(FIELDS) and "[N/A]" not in row]
    # From its first work to its last: before that, a program only imports.
    busy = [number for number, sample in enumerate(samples) if sample[0]]
    samples = samples[busy[0] : busy[-1] + 1] if busy else samples
    if samples:
        means = [round(statistics.fmean(column), 1) for column in zip(*samples, strict=True)]
        found.update(zip(NAMES, means, strict=True), gpu_samples=len(samples))


def describe() -> dict[str, Any]:
    """Return which card there is, and PyTorch's version."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {"gpu": name, "torch": torch.__version__}


def rate(step: Callable[[], object], rows: int, seconds: float) -> float:
    """Return how many rows a second a step does that is called again and again."""
    for _ in range(3):
        step()
    _settle()
    began, count = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        step()
        # Without this the loop would run ahead of the card by as much as its queue holds.
        _settle()
        count += rows
    return count / (time.monotonic() - began)


def training_step(module: torch.nn.Module, batch: list[torch.Tensor]) -> Callable[[], object]:
    """Return a step of training on one batch that lies on the card already."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    module = module.to(device).train()
    batch = [part.to(device) for part in batch]
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = torch.nn.functional.cross_entropy(module(batch[0]), batch[1])
        loss.backward()
        optimizer.step()

    return step


def _settle() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
