"""The class of a PyTorch module by its name, which stands beside its weights."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from byoc.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def name_of(kind: type) -> str:
    """Return a class's name, ``module:Class``, under which another process finds it.

    Raises:
        ModelError: it was defined in a function.

    """
    module = kind.__module__
    if module == "__main__":
        module = Path(getattr(sys.modules["__main__"], "__file__", None) or "__main__").stem
    name = f"{module}:{kind.__qualname__}"
    if not NAME.fullmatch(name):
        raise ModelError(f"{kind.__qualname__} cannot be found again by its name; define it at the top of its file")
    return name


def instance(file: str, metadata: Mapping[str, str]) -> torch.nn.Module:
    """Return a new module of the class that a file's metadata name.

    Only what is a PyTorch module is ever called: a model's file must not name a program to run.

    Raises:
        ModelError: there is none, or it does not take its arguments.

    """
    name = metadata.get("class", "")
    if not NAME.fullmatch(name):
        raise ModelError(
            f"{file} holds weights and does not say of which class; save it by byoc.flavors.torch.save, "
            "or define model_fn in a handler"
        )
    kind = _find(file, name)
    try:
        arguments = json.loads(metadata.get("arguments", "{}"))
        module: torch.nn.Module = kind(**arguments)
    except Exception as error:
        raise ModelError(f"{file} is of the class {name}, which does not take its arguments: {error}") from error
    return module


def _find(file: str, name: str) -> type[torch.nn.Module]:
    module, _, path = name.partition(":")
    remedy = f"{file} is of the class {name}; put the file that defines it beside your entry point, or define model_fn"
    try:
        found: object = importlib.import_module(module)
    except ImportError as error:
        raise ModelError(f"{remedy} ({error})") from error
    for word in path.split("."):
        found = getattr(found, word, None)
    if not (isinstance(found, type) and issubclass(found, torch.nn.Module)):
        raise ModelError(f"{remedy} (there is no PyTorch module of that name)")
    return found
