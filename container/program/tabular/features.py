"""From a table to the matrix an estimator is fitted on, by a schema learned from the table."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from byoc.errors import DataError
from byoc.schema import BOOLEANS, UNSEEN, Column, Kind, Schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tabular.options import ProblemType

log = logging.getLogger(__name__)

# Histogram gradient boosting takes no more in a column; rarer ones count as unseen.
MOST_CATEGORIES = 254
# Whole numbers of so few different values are classes, unless problem_type says otherwise.
MOST_INTEGER_CLASSES = 20


def target_name(frame: pd.DataFrame, target: str | int) -> str:
    """Return the name of the label's column, given by name or by position from 0.

    Raises:
        DataError: there is no such column.

    """
    names = [str(name) for name in frame.columns]
    if str(target) in names:
        return str(target)
    if isinstance(target, int) and -len(names) <= target < len(names):
        return names[target]
    raise DataError(f"hyperparameter target={target!r} is not a column; the data has {', '.join(names)}")


def drop_unlabelled(frame: pd.DataFrame, target: str) -> pd.DataFrame:
    """Return the rows that have a label.

    Raises:
        DataError: no row has one.

    """
    labelled = frame[target].notna()
    if not labelled.any():
        raise DataError(f"column '{target}', the target, is empty in every row")
    if not labelled.all():
        log.warning("%d rows have no label in column '%s' and are left out", int((~labelled).sum()), target)
        return frame[labelled]
    return frame


def find_problem_type(labels: pd.Series) -> ProblemType:
    """Tell classification from regression: text, booleans and whole numbers that are few and come again are classes."""
    if not pd.api.types.is_numeric_dtype(labels) or pd.api.types.is_bool_dtype(labels):
        return "classification"
    whole = bool((labels % 1 == 0).all())
    most = min(MOST_INTEGER_CLASSES, len(labels) // 2)
    return "classification" if whole and labels.nunique() <= most else "regression"


def learn(frame: pd.DataFrame, target: str, problem_type: ProblemType) -> Schema:
    """Return what the rows look like: the features' kinds, categories and ranges, and the classes.

    Raises:
        DataError: no feature, a label that the problem type cannot have, or only one class.

    """
    columns = tuple(_learn_column(frame[name], str(name)) for name in frame.columns if name != target)
    if not columns:
        raise DataError(f"the data has no column besides the target '{target}'")
    labels = encode_labels(frame[target], problem_type)
    classes = tuple(value.item() for value in np.unique(labels)) if problem_type == "classification" else ()
    if problem_type == "classification" and len(classes) < 2:  # noqa: PLR2004
        raise DataError(f"column '{target}', the target, holds only one class: there is nothing to learn")
    if len(classes) > len(labels) // 2:
        log.warning("column '%s' has %d classes in %d rows: is it the right target?", target, len(classes), len(labels))
    return Schema(columns, target, problem_type, classes)


def encode(frame: pd.DataFrame, schema: Schema) -> NDArray[np.float64]:
    """Return the features as `byoc.schema` describes: (rows, features), missing NaN, unseen text -1.

    Raises:
        DataError: a column is missing, or holds text where the schema has numbers.

    """
    matrix = np.empty((len(frame), len(schema.columns)), dtype=np.float64)
    for position, column in enumerate(schema.columns):
        if column.name not in frame:
            raise DataError(f"column '{column.name}' of the training data is not in the validation data")
        matrix[:, position] = _encode_column(frame[column.name], column)
    return matrix


def encode_labels(labels: pd.Series, problem_type: ProblemType) -> NDArray[Any]:
    """Return the labels as the estimator takes them: float64, or bool, int64 or str in classification.

    Raises:
        DataError: text where numbers are needed, or fractions where classes are.

    """
    numeric = pd.api.types.is_numeric_dtype(labels) and not pd.api.types.is_bool_dtype(labels)
    if problem_type == "regression":
        if not numeric:
            raise DataError(f"column '{labels.name}', the target, is not all numbers; regression needs numbers")
        refuse_infinite(labels)
        return np.asarray(labels, dtype=np.float64)
    if not numeric:
        if pd.api.types.is_bool_dtype(labels):
            return np.asarray(labels, dtype=np.bool_)
        return np.asarray(labels.astype(str), dtype=np.str_)
    if not bool((labels % 1 == 0).all()):
        raise DataError(f"column '{labels.name}', the target, has fractions, which are no classes; use regression")
    return np.asarray(labels, dtype=np.int64)


def _learn_column(values: pd.Series, name: str) -> Column:
    missing = bool(values.isna().any())
    kind = _kind(values)
    if kind == "text":
        # The commonest first; equally common ones by name, so that the same data gives the same codes.
        counts = values.astype(str)[values.notna()].value_counts()
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return Column(name, kind, missing, tuple(str(text) for text, _ in ranked[:MOST_CATEGORIES]))
    if kind == "boolean" or values.notna().sum() == 0:
        return Column(name, kind, missing)
    refuse_infinite(values)
    return Column(name, kind, missing, minimum=float(values.min()), maximum=float(values.max()))


def _kind(values: pd.Series) -> Kind:
    if pd.api.types.is_bool_dtype(values):
        return "boolean"
    if pd.api.types.is_numeric_dtype(values):
        return "number"
    # With missing values among them, pandas leaves booleans as objects or text.
    present = {str(value) for value in values.dropna().unique()[: len(BOOLEANS) + 1]}
    return "boolean" if present and present <= BOOLEANS.keys() else "text"


def _encode_column(values: pd.Series, column: Column) -> NDArray[np.float64]:
    if column.kind == "number":
        if not pd.api.types.is_numeric_dtype(values):
            raise DataError(
                f"column '{column.name}' holds numbers in the training data and text in the validation data"
            )
        refuse_infinite(values)
        return cast("NDArray[np.float64]", values.to_numpy(dtype=np.float64, na_value=np.nan))
    texts = values.astype(str) if not pd.api.types.is_string_dtype(values) else values
    codes: NDArray[np.float64] = np.array(texts.map(column.codes), dtype=np.float64)
    unseen = np.isnan(codes) & values.notna().to_numpy()
    codes[unseen] = UNSEEN
    return codes


def refuse_infinite(values: pd.Series) -> None:
    """Refuse numbers that are infinite.

    Raises:
        DataError: one is; it names column and row, from 1.

    """
    infinite = np.isinf(values.to_numpy(dtype=np.float64, na_value=np.nan))
    if infinite.any():
        raise DataError(f"column '{values.name}', row {int(infinite.argmax()) + 1}: the number is infinite")
