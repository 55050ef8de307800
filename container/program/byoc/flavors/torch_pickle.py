"""Checkpoints of PyTorch that are pickles: a file that is a program, and not loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from byoc.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path


def open_model(file: Path) -> NoReturn:
    """Refuse the file, and say what to do.

    Raises:
        ModelError: always.

    """
    raise ModelError(
        f"{file.name} is a pickled checkpoint, which can run any program when it is loaded; save the model by "
        "byoc.flavors.torch.save (safetensors), torch.export or TorchScript, or define model_fn in a handler"
    )
