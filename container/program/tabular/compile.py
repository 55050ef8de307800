"""Compile a fitted model to ONNX, and use it only where it is shown to answer the same.

ONNX graphs commonly compute in float32: a row that stands on a tree's split then goes the other way, and no rounding of
the thresholds mends that for every float64. So the graphs of `tabular.convert` compute in float64 from end to end, and
what cannot be had in float64 stays with scikit-learn. What is left between the two engines is the order in which a
product of matrices is summed and the last bit of exp(): numbers may differ by `TOLERANCE`, labels not at all.

That is then put to the proof on rows the estimator was not fitted on, the same with missing values and unseen
categories where the schema lets those in, and rows that stand on the trees' own splits or next to them.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.pipeline import Pipeline

from byoc.flavors import onnx as flavor
from byoc.schema import UNSEEN
from tabular.convert import NotConvertibleError, to_onnx
from tabular.engines import CompiledModel
from tabular.model import final

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from byoc.schema import Schema
    from tabular.model import TabularModel

log = logging.getLogger(__name__)

# Largest difference of a probability, and of a number of regression by its size.
TOLERANCE = 1e-9
# Largest graph, in bytes: about 800,000 nodes of trees, some seconds' work, and as much memory again when it serves.
LARGEST = 64 << 20
BYTES_A_NODE = 64
# Support vectors and their like are compared with each row: beyond this scikit-learn's own way is quicker.
LARGEST_ARRAYS = 1 << 20
# Rows compared as they are; of these, rows that each get a gap; splits with rows around them; rows compared alone.
MOST_ROWS, GAPS_A_COLUMN, MOST_SPLITS, ALONE = 1_000, 5, 300, 20


@dataclass(frozen=True)
class Outcome:
    """What came of compiling: the ONNX file's content, or None and the reason."""

    content: bytes | None
    reason: str = ""


def compile_model(model: TabularModel, rows: NDArray[np.float64]) -> Outcome:
    """Convert a model and compare it with itself.

    A model that cannot be converted is no failure, whatever is raised: scikit-learn serves it.

    Args:
        model: any fitted model.
        rows: (n, features) that it was not fitted on.

    """
    began = time.monotonic()
    try:
        reason = _too_large(model)
        if not reason:
            content: bytes = to_onnx(model.estimator, model.schema).SerializeToString()
            reason = difference(model, CompiledModel(flavor.Session(content), model.schema), probes(model, rows))
    except NotConvertibleError as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 - converters meet any estimator
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    if reason:
        log.info("scikit-learn will serve this model, not ONNX: %s", reason)
        return Outcome(None, reason)
    log.info("compiled to ONNX and compared in %.1f s", time.monotonic() - began)
    return Outcome(content)


def difference(model: TabularModel, compiled: CompiledModel, rows: NDArray[np.float64]) -> str:
    """Return how the two models' answers differ on the rows, "" where they do not; some rows are asked alone too."""
    for some in (rows, *(rows[number : number + 1] for number in range(min(ALONE, len(rows))))):
        wanted, found = model.predict(some), compiled.predict(some)
        if model.schema.problem_type == "regression":
            distance = np.abs(wanted.labels - found.labels) / np.maximum(1.0, np.abs(wanted.labels))
        else:
            other = int((wanted.labels != found.labels).sum())
            if other:
                return f"{other} of {len(some)} labels are others"
            if wanted.probabilities is None or found.probabilities is None:
                continue
            distance = np.abs(wanted.probabilities - found.probabilities)
        if not (distance <= TOLERANCE).all():  # NaN is not
            return f"numbers differ by {distance.max():.1g}"
    return ""


def probes(model: TabularModel, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows that show a difference: some as they are, some with gaps, some on the trees' splits."""
    generator = np.random.default_rng(0)
    chosen = rows[generator.permutation(len(rows))[:MOST_ROWS]]
    parts = [chosen, _with_gaps(model.schema, chosen)]
    features, thresholds = splits(final(model.estimator))
    picked = generator.permutation(len(features))[:MOST_SPLITS]
    parts.append(_on_splits(model, chosen, features[picked], thresholds[picked]))
    return np.concatenate(parts)


def _with_gaps(schema: Schema, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows, each with one missing or unseen value; where any column may be missing, a row of gaps only too."""
    made = [np.empty((0, rows.shape[1]))]
    for position, column in enumerate(schema.columns):
        for value in [np.nan] * column.missing + [UNSEEN] * (column.kind == "text"):
            gaps = rows[:GAPS_A_COLUMN].copy()
            gaps[:, position] = value
            made.append(gaps)
    if all(column.missing for column in schema.columns):
        made.append(np.full((1, rows.shape[1]), np.nan))
    return np.concatenate(made)


def splits(estimator: Any) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the features and thresholds of all splits of an estimator of trees; none for any other."""
    found = [(tree.feature[tree.feature >= 0], tree.threshold[tree.feature >= 0]) for tree in _trees(estimator)]
    for stage in getattr(estimator, "_predictors", []):
        nodes = np.concatenate([predictor.nodes for predictor in stage])
        nodes = nodes[(nodes["is_leaf"] == 0) & (nodes["is_categorical"] == 0)]
        found.append((nodes["feature_idx"], nodes["num_threshold"]))
    none: NDArray[Any] = np.empty(0, dtype=np.int64)
    return (
        np.concatenate([none, *(feature for feature, _ in found)]),
        np.concatenate([np.empty(0), *(threshold for _, threshold in found)]),
    )


def _on_splits(
    model: TabularModel, rows: NDArray[np.float64], features: NDArray[Any], thresholds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return rows with one value on a split, or as near to it as float64 and float32 can tell."""
    sources = _sources(model, rows[0])
    made = [np.empty((0, rows.shape[1]))]
    for number, (feature, threshold) in enumerate(zip(features.tolist(), thresholds.tolist(), strict=True)):
        if feature in sources and np.isfinite(threshold):
            column, offset, factor = sources[feature]
            around = neighbours(offset + threshold * factor)
            near = np.tile(rows[number % len(rows)], (len(around), 1))
            near[:, column] = around
            made.append(near)
    return np.concatenate(made)


def _sources(model: TabularModel, row: NDArray[np.float64]) -> dict[int, tuple[int, float, float]]:
    """Return which column of numbers each of the estimator's features comes from, with offset and factor.

    Found by trying: a column is moved from 0 to 1, and what moves in the features is its.
    """
    before = model.estimator[:-1].transform if isinstance(model.estimator, Pipeline) else lambda rows: rows
    preprocessor = getattr(final(model.estimator), "_preprocessor", None)
    after = before if preprocessor is None else lambda rows: preprocessor.transform(before(rows))
    found = {}
    for position, column in enumerate(model.schema.columns):
        if column.kind == "number":
            pair = np.tile(row, (2, 1))
            pair[:, position] = 0.0, 1.0
            low, high = after(pair)
            for feature in np.flatnonzero(low != high):
                slope = float(high[feature] - low[feature])
                found[int(feature)] = (position, float(-low[feature] / slope) + 0.0, 1.0 / slope)
    return found


def neighbours(value: float) -> NDArray[np.float64]:
    """Return a number, its neighbours in float64 and in float32, and where float32 begins to round to the next."""
    near = np.float32(value)
    below, above = (float(np.nextafter(near, np.float32(side))) for side in (-np.inf, np.inf))
    turns = [(float(near) + below) / 2, (float(near) + above) / 2]
    exact = [np.nextafter(number, side) for number in (value, *turns) for side in (-np.inf, np.inf)]
    return np.array([value, float(near), below, above, *turns, *exact])


def _too_large(model: TabularModel) -> str:
    estimator = final(model.estimator)
    size = sum(tree.node_count * BYTES_A_NODE + tree.value.nbytes // 2 for tree in _trees(estimator))
    if size > LARGEST:
        return f"it would take {size >> 20} MB, more than {LARGEST >> 20}"
    arrays = sum(value.nbytes for value in vars(estimator).values() if isinstance(value, np.ndarray))
    if arrays > LARGEST_ARRAYS:
        return f"it compares each row with {arrays >> 20} MB of its own"
    return ""


def _trees(estimator: Any) -> list[Any]:
    """Return scikit-learn's own trees in an estimator, or in those that it consists of."""
    parts = getattr(estimator, "estimators_", [estimator])
    parts = parts.ravel() if isinstance(parts, np.ndarray) else parts
    return [part.tree_ for part in parts if hasattr(part, "tree_")]
