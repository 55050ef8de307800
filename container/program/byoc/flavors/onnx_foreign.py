"""ONNX models of anybody's, whatever exported them: scikit-learn's, PyTorch's, Keras's, boosters'."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from byoc import machine
from byoc.errors import ModelError, RowError
from byoc.flavors import columns
from byoc.flavors.onnx import CHUNK, options
from byoc.predictions import Predictions

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from byoc.schema import Schema

# Of a GPU, the quickest first.
GPU = ("CUDAExecutionProvider",)
KINDS: dict[str, type[np.generic]] = {
    "tensor(double)": np.float64,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.str_,
}
# What classifiers of ONNX's domain for machine learning call the classes.
CLASS_NAMES = {"classlabels_ints", "classlabels_int64s", "classlabels_strings"}


class Foreign:
    """An ONNX model of anybody's.

    Rows go into its one input, in the shape that it has, or into one input a column. Classifiers, as skl2onnx and its
    like write them, have two outputs: labels, and probabilities. Of other models the first output is the answer.

    Attributes:
        takes: ``array``; ``records`` where a row has more than one dimension, so that JSON may nest it as well;
            ``frame`` where each column is an input.
        schema: where it has a fixed number of columns, all numbers.

    Raises:
        ModelError: its inputs are of another kind.

    """

    def __init__(self, file: Path) -> None:
        self._session = onnxruntime.InferenceSession(file, options(), providers=_providers())
        self._inputs = self._session.get_inputs()
        first, shapes = self._inputs[0], [each.shape for each in self._inputs]
        self.schema: Schema | None = None
        self._classes: tuple[Any, ...] | None = None
        self._file = file
        # A batch of a fixed size has to be filled up.
        self._fixed = shapes[0][0] if shapes[0] and isinstance(shapes[0][0], int) else 0
        self._shape = tuple(size if isinstance(size, int) else -1 for size in shapes[0][1:])
        is_known = all(each.type in KINDS for each in self._inputs)
        if is_known and len(shapes) > 1 and all(_is_column(shape) for shape in shapes):
            self.takes = "frame"
        elif not is_known or len(shapes) > 1 or self._shape.count(-1) > 1 or KINDS[first.type] is np.str_:
            told = ", ".join(f"{each.name}: {each.type}{each.shape}" for each in self._inputs)
            raise ModelError(
                f"{file.name} takes neither rows of numbers nor one input a column, but {told}; "
                "define model_fn and predict_fn in a handler"
            )
        else:
            self.takes = "array" if len(self._shape) < 2 else "records"  # noqa: PLR2004 - a row is a list of numbers
            if len(self._shape) == 1 and self._shape[0] > 0:
                self.schema = columns.numbers(self._shape[0], missing=issubclass(KINDS[first.type], np.floating))

    def predict(self, data: Any) -> Any:
        """Return one prediction a row.

        Raises:
            RowError: the rows are not of the model's shape, or a column is missing.

        """
        given = self._columns(data) if self.takes == "frame" else {self._inputs[0].name: self._tensor(data)}
        count = len(next(iter(given.values())))
        size = self._fixed or CHUNK
        parts = [
            self._run({name: array[start : start + size] for name, array in given.items()})
            for start in range(0, count, size)
        ]
        return self._told([_joined(outputs) for outputs in zip(*parts, strict=True)])

    def _run(self, given: dict[str, NDArray[Any]]) -> list[Any]:
        count = len(next(iter(given.values())))
        if count < self._fixed:
            given = {
                name: np.concatenate([array, array[[-1] * (self._fixed - count)]]) for name, array in given.items()
            }
        return [output[:count] for output in self._session.run(None, given)]

    def _tensor(self, data: Any) -> NDArray[Any]:
        """Return rows in the shape and of the type of the model's input."""
        kind = KINDS[self._inputs[0].type]
        if self.takes == "records":
            # A row may be nested as the model's input is, or flat.
            is_nested = data.matrix is None and isinstance(data.cells[0][0], list)
            data = data.cells if is_nested else data.array()
        try:
            rows = np.asarray(data, dtype=kind)
            return rows.reshape(len(rows), *self._shape) if self._shape else rows.reshape(len(rows))
        except (ValueError, TypeError):
            shape = " by ".join("any" if size < 0 else str(size) for size in self._shape) or "1"
            raise RowError(f"each record must hold {shape} numbers") from None

    def _columns(self, table: Any) -> dict[str, NDArray[Any]]:
        table = columns.named(table, [each.name for each in self._inputs])
        given = {}
        for each in self._inputs:
            kind = KINDS[each.type]
            try:
                values = table[each.name].astype(object if kind is np.str_ else kind).to_numpy()
            except (ValueError, TypeError):
                raise RowError("is not a number", column=each.name) from None
            if kind is np.str_:
                values = np.array(["" if value is None else str(value) for value in values], dtype=object)
            given[each.name] = values.reshape(len(table), *[1] * (len(each.shape) - 1))
        return given

    def _told(self, outputs: list[Any]) -> Any:
        """Return what came out as labels and probabilities, as numbers, or as it is."""
        first = outputs[0]
        if isinstance(first, list):  # of maps, as some classifiers write probabilities
            return first
        if first.ndim > 1 and first.shape[1:] == (1,):
            first = first[:, 0]
        if first.ndim != 1:
            return first
        if len(outputs) > 1 and isinstance(outputs[1], list) and isinstance(outputs[1][0], dict):
            classes = tuple(outputs[1][0])
            return Predictions(first, np.array([[row[name] for name in classes] for row in outputs[1]], float), classes)
        if len(outputs) > 1 and first.dtype.kind not in "fc" and getattr(outputs[1], "ndim", 0) == 2:  # noqa: PLR2004
            return Predictions(first, outputs[1].astype(np.float64), self._class_names(outputs[1].shape[1]))
        return Predictions(first)

    def _class_names(self, count: int) -> tuple[Any, ...]:
        """Return the classes of a table of probabilities; () where the graph does not name so many."""
        if self._classes is None:
            self._classes = _read_classes(self._file)
        return self._classes if len(self._classes) == count else ()


def open_model(file: Path) -> Foreign:
    """Return the model in a file that need not be one of ours.

    Raises:
        ModelError: it cannot be read, or takes no rows.

    """
    try:
        return Foreign(file)
    except ModelError:
        raise
    except Exception as error:  # ONNX Runtime has a class of its own for each way to fail
        raise ModelError(f"{file} cannot be loaded by ONNX Runtime: {error}") from error


def _read_classes(file: Path) -> tuple[Any, ...]:
    """Return the classes that the graph's last classifier names, () where there is none."""
    import onnx  # noqa: PLC0415 - few models need it, and once

    for node in reversed(onnx.load(file, load_external_data=False).graph.node):
        for attribute in node.attribute:
            if attribute.name in CLASS_NAMES:
                return tuple(attribute.ints) or tuple(text.decode() for text in attribute.strings)
    return ()


def _providers() -> list[str]:
    """Return what a foreign model is computed by: a GPU where there is one and this ONNX Runtime can use it."""
    there = onnxruntime.get_available_providers() if machine.devices("nvidia") else ()
    return [*(name for name in GPU if name in there), "CPUExecutionProvider"]


def _is_column(shape: list[Any]) -> bool:
    return len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)  # noqa: PLR2004


def _joined(parts: tuple[Any, ...]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return [entry for part in parts for entry in part] if isinstance(parts[0], list) else np.concatenate(parts)
