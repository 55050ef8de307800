"""Training: `train` against the plain Lightning script, and both against the card's own limit."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.gpu import card, vision
from benchmarks.models import ROOT
from benchmarks.systems import PROGRAM, environ

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
EXAMPLE = ROOT / "examples" / "pytorch_lightning"
EPOCH = re.compile(r"epoch \d+ of \d+: ([\d.]+) s")


@dataclass(frozen=True)
class Task:
    """What is trained.

    Attributes:
        kind: ``digits`` or ``vision``.
        base: a folder that stands for /opt/ml, with the data in it.
        images: in an epoch.
        epochs, batch: as Lightning takes them.
        size: of the vision transformer.

    """

    kind: str
    base: Path
    images: int
    epochs: int
    batch: int
    size: str = "base"

    @property
    def data(self) -> Path:
        """The folder of the data."""
        return self.base / "input" / "data" / "training"

    def prepare(self) -> None:
        """Write the data and the hyperparameters."""
        for folder in ("input/config", "model", "output"):
            (self.base / folder).mkdir(parents=True)
        values: dict[str, Any] = {"epochs": self.epochs, "batch_size": self.batch}
        if self.kind == "vision":
            vision.write(self.data, self.images)
            values["size"] = self.size
        else:
            subprocess.run([sys.executable, str(EXAMPLE / "make_data.py"), str(self.data)], check=True)
        config = self.base / "input" / "config" / "hyperparameters.json"
        config.write_text(json.dumps({name: str(value) for name, value in values.items()}))


def variables(base: Path) -> dict[str, str]:
    """Return the environment in which all that is measured finds this repository's code."""
    own = environ(SAGEMAKER_BASE_DIR=str(base), OMP_WAIT_POLICY="PASSIVE")
    own["PYTHONPATH"] = ":".join([str(PROGRAM), str(ROOT), str(EXAMPLE), own.get("PYTHONPATH", "")])
    return own


def measure(task: Task, rounds: int, seconds: float, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return a row for `train`, for the plain script and for the card alone; the model is in the task's folder then."""
    rows = []
    plain = [task.kind, str(task.data), str(task.base / "plain.pt"), str(task.epochs), str(task.batch), task.size]
    commands = {"plain": [str(HERE / "plain.py"), *plain], "train": [str(HERE / "train.py"), task.kind]}
    for number in range(rounds):
        for name, command in commands.items():
            shutil.rmtree(task.base / "model")
            (task.base / "model").mkdir()
            rows.append({"what": f"training {task.kind}", "system": name, "round": number, **_run(command, task)})
            say(_told(rows[-1]))
    if task.kind == "vision":
        rows.append({"what": "training vision", "system": "card", **_limit(task, seconds)})
        say(_told(rows[-1]))
    return rows


def _run(command: list[str], task: Task) -> dict[str, float]:
    began = time.monotonic()
    with card.watched() as seen:
        done = subprocess.run(
            [sys.executable, *command], env=variables(task.base), capture_output=True, text=True, check=False
        )
    seconds = time.monotonic() - began
    epochs = [float(each) for each in EPOCH.findall(done.stdout + done.stderr)]
    if done.returncode or len(epochs) != task.epochs:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stdout[-1000:]}{done.stderr[-3000:]}")
    # The first epoch pays for what is made ready once.
    steady = _images(task) * (task.epochs - 1) / max(sum(epochs[1:]), 0.01)
    return {"seconds": round(seconds, 2), "images_per_s": round(steady, 1), **seen}


def _images(task: Task) -> int:
    """Return how many images an epoch trains on: a fifth of the digits is held out."""
    return task.images if task.kind == "vision" else task.images - task.images // 5


def _limit(task: Task, seconds: float) -> dict[str, float]:
    pieces = vision.Pieces(task.data)
    step = card.training_step(vision.Vision(**vision.SIZES[task.size]), pieces[list(range(task.batch))])
    with card.watched() as seen:
        found = card.rate(step, task.batch, seconds)
    del step
    torch.cuda.empty_cache()
    return {"images_per_s": round(found, 1), **seen}


def _told(row: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items())
