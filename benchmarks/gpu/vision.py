"""A vision transformer on photographs: large enough to keep a GPU busy, on data that is real and at hand.

The images are pieces, 224 x 224, of the two photographs that come with scikit-learn; what is to be told is of which one
a piece is, and from which quarter of its width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl
import torch
from digits import Reporter, precision
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler

from byoc.flavors import torch as flavor

if TYPE_CHECKING:
    from pathlib import Path

    from byoc.training import Job

SIDE, PATCH, QUARTERS = 224, 16, 4
SHAPE = (3, SIDE, SIDE)
# ViT-B/16, 86 million parameters; for a dry run on CPUs something small.
SIZES = {"base": {"width": 768, "depth": 12, "heads": 12}, "small": {"width": 32, "depth": 1, "heads": 2}}


class Vision(pl.LightningModule):  # type: ignore[misc]
    """A vision transformer: (n, 3, 224, 224) values of 0 to 255 in, (n, 8) logits out."""

    def __init__(self, width: int, depth: int, heads: int, classes: int = 2 * QUARTERS, lr: float = 1e-4) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.lr = lr
        self.patches = nn.Conv2d(3, width, PATCH, PATCH)
        self.places = nn.Parameter(torch.randn(1, (SIDE // PATCH) ** 2, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        found = self.patches(images.float() / 127.5 - 1).flatten(2).transpose(1, 2) + self.places
        return self.head(self.encoder(found).mean(1))

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        """Return a batch's loss."""
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log("train:loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW."""
        return torch.optim.AdamW(self.parameters(), lr=self.lr)


class Pieces(Dataset):  # type: ignore[misc]
    """Images that are taken by the batch."""

    def __init__(self, folder: Path) -> None:
        self.images = np.load(folder / "images.npy", mmap_mode="r")
        self.labels = np.load(folder / "labels.npy")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, batch: list[int]) -> list[torch.Tensor]:
        return [torch.from_numpy(self.images[batch]), torch.from_numpy(self.labels[batch])]


def write(folder: Path, count: int) -> None:
    """Write ``images.npy``, (n, 3, 224, 224) uint8, and ``labels.npy``, (n,) int64."""
    from sklearn.datasets import load_sample_images  # noqa: PLC0415 - only who makes the data needs it

    photographs, random = load_sample_images().images, np.random.default_rng(0)
    images, labels = np.empty((count, *SHAPE), np.uint8), np.empty(count, np.int64)
    for number in range(count):
        which = int(random.integers(len(photographs)))
        height, width, _ = photographs[which].shape
        top, left = int(random.integers(height - SIDE)), int(random.integers(width - SIDE))
        images[number] = photographs[which][top : top + SIDE, left : left + SIDE].transpose(2, 0, 1)
        labels[number] = which * QUARTERS + left * QUARTERS // (width - SIDE)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", labels)


def loader(folder: Path, batch: int) -> Any:
    """Return the batches of an epoch; where there is a GPU, others than its own process make them ready."""
    pieces, is_fast = Pieces(folder), torch.cuda.is_available()
    order = BatchSampler(RandomSampler(pieces), batch, drop_last=False)
    workers = 6 if is_fast else 0
    return DataLoader(pieces, None, sampler=order, num_workers=workers, pin_memory=is_fast, persistent_workers=is_fast)


def trainer(epochs: int, callback: Any) -> Any:
    """Return Lightning's trainer, as quiet as in the example."""
    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    options: dict[str, Any] = dict.fromkeys(quiet, False)
    return pl.Trainer(max_epochs=epochs, devices=1, precision=precision(), callbacks=[callback], **options)


def fit(job: Job) -> None:
    """Train and save."""
    options = job.hyperparameters
    module = Vision(**SIZES[options["size"]])
    folder = job.channel("training").folder
    trainer(options["epochs"], Reporter(job, "any")).fit(module, loader(folder, options["batch_size"]))
    flavor.save(module, job.model_dir, shape=SHAPE, autocast="bfloat16", classes=range(2 * QUARTERS))
