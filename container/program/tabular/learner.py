"""What is done with a block where it lies: a share of it is learned from, and the model is judged by the rest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from byoc.errors import DataError
from tabular import blocks, features
from tabular.model import final
from tabular.summary import Summary
from tabular.tally import Tally
from tabular.training import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from byoc.schema import Schema
    from tabular.blocks import Block

# Rows that are one-hot encoded at a time, and that an estimator is given at a time.
BATCH = 8192


@dataclass(frozen=True)
class Plan:
    """What is done with every block of a channel.

    Attributes:
        schema: of the rows.
        as_text: columns that are read as text, whatever a block holds.
        seed: chooses the rows, and shuffles them.
        fraction: share of the rows that is held out; 0 where all are learned from, and all judge.
        sampled: share of those that is kept for the report.
        learns: whether the others are learned from.
        number: of the pass, by which rows are shuffled.
        judge: the model that answers the held-out rows, None for no model.

    """

    schema: Schema
    as_text: tuple[str, ...]
    seed: int
    fraction: float
    sampled: float
    learns: bool
    number: int = 0
    judge: Any = None


@dataclass(frozen=True)
class Prepared:
    """A block ready to be learned from, how the judge fared on what is held out, and a sample of that."""

    rows: Rows
    tally: Tally
    sample: Rows


def summarise(block: Block, target: str, as_text: tuple[str, ...]) -> Summary:
    """Return what there is to know of a block.

    Raises:
        DataError: it cannot be read, or has an infinite number.

    """
    frame = blocks.read(block, as_text)
    try:
        return Summary.of(frame, target, block.place)
    except DataError as error:
        raise DataError(f"{block.place}: {error}") from error


def prepare(block: Block, plan: Plan) -> Prepared:
    """Read a block and do with it what the plan says.

    Raises:
        DataError: it cannot be read, or does not fit the schema.

    """
    _one_thread()
    rows = _read(block, plan)
    draws = np.random.default_rng([plan.seed, block.number]).random(len(rows))
    held = draws < plan.fraction if plan.fraction else np.ones(len(rows), dtype=bool)
    sampled = draws < (plan.fraction or 1.0) * plan.sampled
    if plan.sampled and block.number == 0 and len(rows):
        # There is always one row at least.
        held[draws.argmin()] = sampled[draws.argmin()] = True
    tally = Tally()
    if plan.judge is not None:
        for part in _batches(_chosen(rows, np.flatnonzero(held))):
            tally.add(Tally.of(plan.judge, part.features, part.labels, plan.schema))
    learned = np.flatnonzero(~held if plan.fraction else held) if plan.learns else np.empty(0, dtype=np.intp)
    shuffled = np.random.default_rng([plan.seed, block.number, plan.number]).permutation(learned)
    return Prepared(_chosen(rows, shuffled), tally, _chosen(rows, np.flatnonzero(sampled)))


def learn(model: Any, prepared: Prepared, classes: tuple[Any, ...]) -> tuple[Any, int, Tally, Rows]:
    """Let the model learn a block; return it, the rows that it learned from, and what `Prepared` holds besides.

    Raises:
        DataError: the estimator cannot take this data.

    """
    _one_thread()
    estimator = final(model)
    named = {"classes": np.array(classes)} if classes else {}
    try:
        for rows in _batches(prepared.rows):
            encoded = model[0].transform(rows.features) if isinstance(model, Pipeline) else rows.features
            estimator.partial_fit(encoded, rows.labels, **named)
    except ValueError as error:
        raise DataError(f"{type(estimator).__name__} cannot be fitted on this data: {error}") from error
    return model, len(prepared.rows), prepared.tally, prepared.sample


def _read(block: Block, plan: Plan) -> Rows:
    frame = blocks.read(block, plan.as_text)
    schema = plan.schema
    if schema.target not in frame:
        raise DataError(f"{block.file} has no column '{schema.target}', the target")
    labelled = frame[schema.target].notna().to_numpy()
    numbers = block.row + 1 + np.flatnonzero(labelled)
    frame = frame[labelled]
    try:
        labels = features.encode_labels(frame[schema.target], schema.problem_type)
        return Rows(features.encode(frame, schema), labels, numbers)
    except DataError as error:
        raise DataError(f"{block.place}: {error}") from error


def _chosen(rows: Rows, which: NDArray[np.intp]) -> Rows:
    return Rows(rows.features[which], rows.labels[which], rows.numbers[which])


def _batches(rows: Rows) -> Iterator[Rows]:
    for start in range(0, len(rows), BATCH):
        yield _chosen(rows, np.arange(start, min(start + BATCH, len(rows))))


@cache
def _one_thread() -> None:
    """Let no product of matrices be shared among threads, for good: its last bits depend on how many there are."""
    threadpool_limits(1)
