"""PyTorch models: weights as ``model.safetensors``, TorchScript as ``*.pt``, programs of ``torch.export`` as ``*.pt2``.

None of them is a pickle. Weights need the class that they belong to: `save` writes its name beside them, and it is
looked for in the user's own code and in what is installed.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import safetensors
import safetensors.torch
import torch

from byoc.errors import ModelError
from byoc.flavors import torch_class
from byoc.predictions import Predictions
from byoc.schema import FILE as SCHEMA_FILE
from byoc.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FILE = "model.safetensors"
# Rows computed at a time: what lies between two layers stays small, whatever comes in.
CHUNK = 1024
HALVES = (torch.bfloat16, torch.float16)
# Types of numbers that both NumPy and PyTorch have, none wider than what a network computes in.
NARROW = tuple(map(np.dtype, ("uint8", "int8", "int16", "float16", "float32")))
IMAGE = ("channels", "height", "width")
BINARY = 2


def save(
    module: torch.nn.Module,
    folder: Path,
    arguments: Mapping[str, Any] | None = None,
    shape: Sequence[int] = (),
    autocast: Literal["", "bfloat16", "float16"] = "",
    classes: Sequence[Any] = (),
    schema: Schema | None = None,
) -> None:
    """Write ``model.safetensors`` into the folder and, where there is a schema, ``schema.json``.

    Args:
        module: its class must be importable where it is served: from the entry point's folder, or installed.
        folder: the job's model_dir.
        arguments: what the class is called with, JSON values; None takes the ``hparams`` of a LightningModule.
        shape: of one row as the module takes it, ``(3, 224, 224)``; () is a plain vector.
        autocast: what a GPU computes in, where it is not float32: quicker, and less exact.
        classes: the labels of the outputs, which are then taken for logits; () takes the schema's, if it has some.
        schema: what rows look like, checked at serving.

    Raises:
        ModelError: the class cannot be named, an argument is no JSON value, or the disk is full or not writable.

    """
    given = dict(getattr(module, "hparams", {})) if arguments is None else dict(arguments)
    try:
        told = {"class": torch_class.name_of(type(module)), "arguments": json.dumps(given)}
        told |= {"classes": json.dumps(list(classes)), "shape": json.dumps(list(shape)), "autocast": autocast}
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{type(module).__name__} is made of more than JSON values: {error}; give arguments="
        ) from error
    try:
        safetensors.torch.save_model(module, str(folder / FILE), told)
        (folder / FILE).chmod(0o644)  # safetensors leaves it to its owner alone, and a server may be another user
        if schema is not None:
            schema.save(folder)
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(f"cannot write {folder / FILE}: {error}") from error


@dataclass(frozen=True)
class Network:
    """A module on its device, that answers rows.

    Attributes:
        module: takes a batch, (n, …).
        device: where it computes.
        dtype: of the batch.
        shape: of one row as the module takes it; () is a plain vector.
        autocast: what it computes in; None leaves that to its weights.
        classes: the labels of its outputs, which are then taken for logits.

    """

    takes: ClassVar[str] = "numbers"

    module: Any
    device: torch.device
    dtype: torch.dtype = torch.float32
    shape: tuple[int, ...] = ()
    autocast: torch.dtype | None = None
    classes: tuple[Any, ...] = ()

    def predict(self, rows: NDArray[Any]) -> Any:
        """Return one prediction a row: numbers, vectors or, with classes, labels and probabilities.

        Args:
            rows: (n, features) of any type of numbers.

        Raises:
            MemoryError: the device has too little memory left for this batch.

        """
        with (
            _memory_errors(),
            torch.inference_mode(),
            torch.autocast(self.device.type, self.autocast, enabled=self.autocast is not None),
        ):
            parts = [self._compute(rows[start : start + CHUNK]) for start in range(0, len(rows), CHUNK)]
        outputs = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if self.classes:
            return _classified(outputs, self.classes)
        return outputs[:, 0] if outputs.ndim > 1 and outputs.shape[1:] == (1,) else outputs

    def _compute(self, rows: NDArray[Any]) -> NDArray[Any]:
        # What is narrow travels as it is, and becomes wide on the device; a GPU fetches from memory that is pinned.
        given = torch.from_numpy(rows if rows.dtype in NARROW else rows.astype(np.float64, copy=False))
        travels = given.dtype if rows.dtype in NARROW else self.dtype
        batch = torch.empty(rows.shape, dtype=travels, pin_memory=self.device.type == "cuda").copy_(given)
        batch = batch.to(self.device, non_blocking=True).to(self.dtype)
        if self.shape:
            batch = batch.reshape(len(rows), *self.shape)
        if len(self.shape) == len(IMAGE):
            batch = batch.contiguous(memory_format=torch.channels_last)
        found = self.module(batch)
        if isinstance(found, tuple | list) and found:
            found = found[0]
        if not isinstance(found, torch.Tensor) or found.ndim < 1 or len(found) != len(rows):
            raise TypeError(f"the module returned {_told(found)} for {len(rows)} rows; define predict_fn in a handler")
        numbers: NDArray[Any] = (found.float() if found.dtype in HALVES else found).cpu().numpy()
        return numbers


def open_model(file: Path) -> Network:
    """Return the model in a file, on a GPU where there is one: that of ``BYOC_GPU``, else PyTorch's default.

    Raises:
        ModelError: it cannot be loaded, its class cannot be found, or it takes something else than one batch of rows.

    """
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or torch.get_num_threads()))
    read = {".safetensors": _weights, ".pt2": _program}.get(file.suffix, _script)
    try:
        network = read(file, device())
    except ModelError:
        raise
    except Exception as error:  # whatever a damaged file or a constructor raises
        raise ModelError(f"{file} cannot be loaded: {type(error).__name__}: {_line(error)}") from error
    if network.classes or not (file.parent / SCHEMA_FILE).exists():
        return network
    return replace(network, classes=Schema.load(file.parent).classes)


def device() -> torch.device:
    """Return where models compute: ``BYOC_GPU`` names a GPU by its number, -1 none."""
    number = os.environ.get("BYOC_GPU", "")
    if not torch.cuda.is_available() or number.startswith("-"):
        return torch.device("cpu")
    return torch.device("cuda", int(number)) if number else torch.device("cuda")


def _weights(file: Path, target: torch.device) -> Network:
    with safetensors.safe_open(file, "pt") as content:
        metadata = content.metadata() or {}
    module = torch_class.instance(file.name, metadata)
    safetensors.torch.load_model(module, str(file))
    shape, classes = (tuple(json.loads(metadata.get(name, "[]"))) for name in ("shape", "classes"))
    if len(shape) == len(IMAGE):
        module = module.to(memory_format=torch.channels_last)
    autocast = getattr(torch, metadata.get("autocast", "") or "float32")
    halves = autocast in HALVES and target.type == "cuda"
    return Network(module.eval().to(target), target, _dtype(module), shape, autocast if halves else None, classes)


def _script(file: Path, target: torch.device) -> Network:
    module = torch.jit.load(str(file), map_location=target).eval()
    return Network(module, target, _dtype(module))


def _dtype(module: Any) -> torch.dtype:
    """Return the type of numbers that a module works on: that of its weights."""
    found: list[torch.dtype] = [each.dtype for each in module.parameters() if each.dtype.is_floating_point]
    return found[0] if found else torch.float32


def _program(file: Path, target: torch.device) -> Network:
    with _no_pickles():
        program = torch.export.load(str(file))
    inputs = [
        node.meta["val"]
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in program.graph_signature.user_inputs
    ]
    if len(inputs) != 1 or not isinstance(inputs[0], torch.Tensor) or not inputs[0].ndim:
        raise ModelError(f"{file.name} takes {len(inputs)} inputs, not one batch of rows; define model_fn in a handler")
    rows, *shape = inputs[0].shape
    if isinstance(rows, int):
        raise ModelError(
            f"{file.name} was exported for batches of {rows} rows; export it with its first dimension dynamic"
        )
    if target.type != "cpu":
        from torch.export.passes import move_to_device_pass  # noqa: PLC0415 - not in older versions

        program = move_to_device_pass(program, target)
    return Network(program.module(), target, inputs[0].dtype, tuple(shape) if len(shape) > 1 else ())


@contextmanager
def _no_pickles() -> Iterator[None]:
    """Have torch.load, which torch.export asks for weights, take nothing but tensors."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Tell a lack of memory, of the GPU's or the machine's, as Python does."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise MemoryError(_line(error)) from error
    except RuntimeError as error:
        if "allocate memory" in str(error):
            raise MemoryError(_line(error)) from error
        raise


def _classified(logits: NDArray[Any], classes: Sequence[Any]) -> Predictions:
    """Return the label of the largest logit, and all probabilities; one logit is that of the second of two classes."""
    columns = logits.reshape(len(logits), -1)
    if columns.shape[1] == 1 and len(classes) == BINARY:
        columns = np.hstack([np.zeros_like(columns), columns])
    if columns.shape[1] != len(classes):
        raise ValueError(f"the module has {columns.shape[1]} outputs, and schema.json {len(classes)} classes")
    shares = np.exp(columns - columns.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return Predictions(np.array(classes)[columns.argmax(axis=1)], shares, tuple(classes))


def _told(found: Any) -> str:
    return f"a tensor {tuple(found.shape)}" if isinstance(found, torch.Tensor) else type(found).__name__


def _line(error: BaseException) -> str:
    """Return what an error says, in one line that is not too long."""
    return " ".join(str(error).split())[:300]
