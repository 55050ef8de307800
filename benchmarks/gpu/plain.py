"""What a data scientist would write: the same modules and data by Lightning alone, without this repository's `train`.

python plain.py digits|vision FOLDER_OF_DATA FILE_OF_WEIGHTS EPOCHS BATCH [SIZE]
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)


class Clock(pl.Callback):  # type: ignore[misc]
    """Tells how long an epoch took."""

    began = time.monotonic()

    def on_train_epoch_end(self, trainer: Any, *_: Any) -> None:
        """Print it, as `fit` of the example does."""
        seconds, self.began = time.monotonic() - self.began, time.monotonic()
        print(f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}: {seconds:.2f} s", flush=True)


def main(kind: str, source: str, target: str, epochs: str, batch: str, size: str = "base") -> None:
    """Train and save."""
    if kind == "digits":
        from digits import Digits  # noqa: PLC0415 - each kind has its own imports

        module: Any = Digits()
        parts = digits(Path(source), int(batch))
    else:
        from benchmarks.gpu.vision import SIZES, Vision, loader  # noqa: PLC0415 - the same

        module = Vision(**SIZES[size])
        parts = [loader(Path(source), int(batch))]
    trainer = pl.Trainer(
        max_epochs=int(epochs),
        devices=1,
        precision="bf16-mixed" if torch.cuda.is_available() else "32-true",
        callbacks=[Clock()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, *parts)
    torch.save(module.state_dict(), target)


def digits(folder: Path, batch: int) -> list[Any]:
    """Return the loaders of a training and a validation part."""
    table = pd.read_csv(folder / "digits.csv", header=None).to_numpy(np.float32)
    np.random.default_rng(0).shuffle(table)
    pixels, labels = torch.from_numpy(table[:, 1:].copy()), torch.from_numpy(table[:, 0].astype(np.int64))
    held_out = len(labels) // 5
    train = DataLoader(TensorDataset(pixels[held_out:], labels[held_out:]), batch, shuffle=True)
    return [train, DataLoader(TensorDataset(pixels[:held_out], labels[:held_out]), batch)]


if __name__ == "__main__":
    main(*sys.argv[1:])
