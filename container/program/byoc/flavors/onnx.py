"""ONNX models as ``model.onnx``, computed by ONNX Runtime: without scikit-learn, and a row in microseconds."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from byoc.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FILE = "model.onnx"
# Rows computed at a time: what lies between two operators stays small, whatever comes in.
CHUNK = 512
ERRORS_ONLY = 3


class Session:
    """A model whose one input is ``rows``, (n, features) float64.

    It computes in the thread that asks, and has no others: a row's answer cannot depend on how work was shared out, and
    a process that is forked later takes the session along whole.
    """

    def __init__(self, content: bytes) -> None:
        self._session = onnxruntime.InferenceSession(content, options(), providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, rows: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
        """Return the model's outputs by name, each with one entry a row."""
        if len(rows) <= CHUNK:
            found = self._session.run(self._outputs, {"rows": np.ascontiguousarray(rows)})
            return dict(zip(self._outputs, found, strict=True))
        parts = [self.run(rows[start : start + CHUNK]) for start in range(0, len(rows), CHUNK)]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._outputs}


def save(content: bytes, folder: Path) -> str:
    """Write ``model.onnx`` into the folder; return its SHA-256.

    Raises:
        ModelError: the disk is full or not writable.

    """
    try:
        (folder / FILE).write_bytes(content)
    except OSError as error:
        raise ModelError(f"cannot write {folder / FILE}: {error.strerror or error}") from error
    return hashlib.sha256(content).hexdigest()


def load(folder: Path, digest: str) -> Session:
    """Return the model in the folder's ``model.onnx``.

    Raises:
        ModelError: the file is missing, or not the one that was saved with this SHA-256.

    """
    file = folder / FILE
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror or error}; copy the model's folder whole") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise ModelError(f"{file} cannot be loaded: it is not this model's own; copy the model's folder whole")
    return Session(content)


def options() -> Any:
    """Return how every session computes: in the thread that asks, and with no others."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # An arena would keep the memory of the largest request for ever.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = ERRORS_ONLY
    return options
