"""Handwritten digits by PyTorch Lightning: `fit` trains, and `model_fn` loads what the server then answers with.

Data: CSV in the channel `digits` or `training`, no header row; the digit first, then the 64 pixels of an 8 x 8 image,
0 to 16.
Hyperparameters: epochs, batch_size, lr, hidden. Over several hosts or GPUs batch_size is that of each process.
"""

import hashlib
import logging
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from byoc.errors import DataError
from byoc.flavors import torch as flavor
from byoc.schema import Column, Schema
from byoc.training import Job

log = logging.getLogger(__name__)

METRICS = ["train:loss", "validation:accuracy"]
# Where a job has several hosts, or a host several GPUs, `fit` runs in a process for each.
DISTRIBUTION = "torchrun"
DIGITS, PIXELS = 10, 64
# SageMaker reads a log: Lightning's hints and its progress bar are for a terminal.
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", module="pytorch_lightning|torch.distributed")


class Digits(pl.LightningModule):
    """A small convolutional network: (n, 64) pixels in, (n, 10) logits out."""

    def __init__(self, hidden: int = 128, lr: float = 0.001) -> None:  # noqa: ARG002 - taken by save_hyperparameters
        super().__init__()
        self.save_hyperparameters()
        self.layers = nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 4 * 4, hidden),
            nn.ReLU(),
            nn.Dropout(0.25),
            nn.Linear(hidden, DIGITS),
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        return self.layers(pixels / 16)

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        """Return a batch's loss."""
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log("train:loss", loss, on_step=False, on_epoch=True, sync_dist=True)
        return loss

    def validation_step(self, batch: list[torch.Tensor]) -> None:
        """Note what share of a batch is told right."""
        self.log("validation:accuracy", (self(batch[0]).argmax(1) == batch[1]).float().mean(), sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.hparams["lr"])


class Reporter(pl.Callback):
    """Tells of each epoch, keeps a checkpoint of it, and ends the training when the job is to stop."""

    def __init__(self, job: Job, key: str) -> None:
        self.job = job
        self.key = key
        self.began = time.monotonic()

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Draw a step's random numbers from its own number, so that a resumed job draws the same."""
        torch.manual_seed(trainer.global_step * self.job.world_size + self.job.rank)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Stop after this batch where the job has been told to; processes on other hosts stop after the same one."""
        stopping = trainer.strategy.reduce_boolean_decision(self.job.stopping, all=False)
        trainer.should_stop = trainer.should_stop or stopping

    def on_train_epoch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Report the epoch; where it is whole, a job that is interrupted later goes on from here."""
        seconds, self.began = time.monotonic() - self.began, time.monotonic()
        log.info("epoch %d of %d: %.2f s", trainer.current_epoch + 1, trainer.max_epochs, seconds)
        for name, value in trainer.callback_metrics.items():
            self.job.metric(name, float(value))
        if trainer.is_last_batch:
            self.job.checkpoints.save(trainer.current_epoch, trainer.save_checkpoint, self.key)


def model_fn(model_dir: str) -> Any:
    """Load what `fit` saved; it answers with the digit and its probability, many requests in one call."""
    return flavor.open_model(Path(model_dir) / flavor.FILE)


def fit(job: Job) -> None:
    """Train, from the last checkpoint where there is one, and save."""
    options = {"epochs": 20, "batch_size": 64, "lr": 0.001, "hidden": 128, **job.hyperparameters}
    pixels, labels = read(job)
    held_out = len(labels) // 5
    size = options["batch_size"]
    # A checkpoint of other hyperparameters is another training's; more epochs are more of the same.
    key = hashlib.sha256(repr([options[name] for name in ("batch_size", "lr", "hidden")]).encode()).hexdigest()
    train = TensorDataset(pixels[held_out:], labels[held_out:])
    # Its order follows from the epoch's number alone; each process takes its part of it.
    order = DistributedSampler(train, num_replicas=job.world_size, rank=job.rank)
    judged = slice(job.rank, held_out, job.world_size)
    hosts = len(job.environment.hosts) if job.world_size > 1 else 1
    trainer = pl.Trainer(
        max_epochs=options["epochs"],
        min_epochs=0,
        num_nodes=hosts,
        devices=job.world_size // hosts,
        # Plain "ddp" adds gradients up in another order after its first step: a job that goes on would take that again.
        strategy="ddp_find_unused_parameters_true" if job.world_size > 1 else "auto",
        use_distributed_sampler=False,
        precision=precision(),
        callbacks=[Reporter(job, key)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    checkpoint = job.checkpoints.latest(key)
    if checkpoint:
        log.info("going on after epoch %d", checkpoint.step + 1)
    torch.manual_seed(0)
    module = Digits(options["hidden"], options["lr"])
    with suppress(SIGTERMException):  # how Lightning ends where the job is to stop; what was learnt so far is saved
        trainer.fit(
            module,
            DataLoader(train, size, sampler=order),
            DataLoader(TensorDataset(pixels[judged], labels[judged]), size),
            ckpt_path=checkpoint.file if checkpoint else None,
        )
    flavor.save(module, job.model_dir, schema=schema(pixels))


def read(job: Job) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the images of the channel, (n, 64) float32, and their digits, in an order that is always the same.

    Raises:
        DataError: the files hold something else.

    """
    tables = [pd.read_csv(file, header=None) for file in job.channel("digits", "training").files(".csv")]
    table = pd.concat(tables).apply(pd.to_numeric, errors="coerce").to_numpy(np.float32)
    if table.shape[1] != 1 + PIXELS or np.isnan(table).any() or not np.isin(table[:, 0], range(DIGITS)).all():
        raise DataError(f"each row must be a digit and {PIXELS} pixels, all numbers, without a header row")
    table = table[np.random.default_rng(0).permutation(len(table))]
    return torch.from_numpy(table[:, 1:].copy()), torch.from_numpy(table[:, 0].astype(np.int64))


def precision() -> str:
    """Return what a GPU is quickest in; CPUs stay exact."""
    if not torch.cuda.is_available():
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"


def schema(pixels: torch.Tensor) -> Schema:
    """Return what the server holds requests against."""
    columns = [
        Column(f"column_{number}", "number", minimum=low, maximum=high)
        for number, (low, high) in enumerate(zip(pixels.amin(0).tolist(), pixels.amax(0).tolist(), strict=True), 1)
    ]
    return Schema(tuple(columns), "column_0", "classification", tuple(range(DIGITS)), {"torch": torch.__version__})
