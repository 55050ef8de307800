"""Models of many libraries, known by their files: `load` returns what answers for a folder, without a line of code.

One module a library, imported only when a folder holds one of its models. Each has ``open_model(file)``, which returns
a `Model`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from byoc import machine
from byoc.errors import ModelError
from byoc.flavors import signs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Model(Protocol):
    """What a flavor's `open_model` returns.

    It may also have `takes`, what `predict` wants: ``array``, the default, is a matrix of float64, ``numbers`` one of
    the type that it came in, ``frame`` a pandas DataFrame, ``records`` our own `Records`. And `schema`, a
    `byoc.schema.Schema`, where the model's file says what its rows look like; a ``schema.json`` beside it comes first.
    """

    def predict(self, data: Any) -> Any:
        """Return one prediction a row."""


@dataclass(frozen=True)
class Flavor:
    """One kind of model file.

    Attributes:
        name: what messages call it.
        module: has ``open_model(file)``.
        files: patterns of the names that its files have.
        extra: what the image has to be built with, ``--extra NAME``; "" where it has all.
        fork_safe: whether a loaded model may be shared by forked workers.
        pure: whether predict only computes, in a time that depends on the rows alone.
        sign: tells by a file's content whether it is one of these, where its name leaves that open.

    """

    name: str
    module: str
    files: tuple[str, ...]
    extra: str = ""
    fork_safe: bool = False
    pure: bool = False
    sign: Callable[[Path], bool] = signs.any_content


FLAVORS = (
    # What `train` makes is a folder, of which the other flavors would see only a part.
    Flavor("the sample algorithm", "tabular.model", ("schema.json",), fork_safe=True, pure=True, sign=signs.of_tabular),
    Flavor("scikit-learn, as skops", "byoc.flavors.sklearn", ("*.skops",), fork_safe=True),
    Flavor("ONNX", "byoc.flavors.onnx_foreign", ("*.onnx",), fork_safe=True, pure=True),
    Flavor("PyTorch, as safetensors", "byoc.flavors.torch", ("*.safetensors",), extra="torch"),
    Flavor("PyTorch, by torch.export", "byoc.flavors.torch", ("*.pt2",), extra="torch"),
    Flavor(
        "PyTorch, as TorchScript", "byoc.flavors.torch", ("*.pt", "*.pth"), extra="torch", sign=signs.of_torchscript
    ),
    Flavor("XGBoost", "byoc.flavors.xgboost", ("*.ubj", "*.xgb", "xgboost-model"), extra="xgboost"),
    Flavor("XGBoost, as JSON", "byoc.flavors.xgboost", ("model.json",), extra="xgboost", sign=signs.of_xgboost),
    Flavor("LightGBM", "byoc.flavors.lightgbm", ("*.lgbm", "lightgbm-model"), extra="lightgbm"),
    Flavor("LightGBM, as text", "byoc.flavors.lightgbm", ("model.txt",), extra="lightgbm", sign=signs.of_lightgbm),
    Flavor("a pickle", "byoc.flavors.pickle", ("*.joblib", "*.pkl", "*.pickle")),
    Flavor(
        "a pickle of PyTorch, refused",
        "byoc.flavors.torch_pickle",
        ("*.pt", "*.pth", "*.ckpt"),
        sign=signs.of_torch_pickle,
    ),
    Flavor("H2O-3, as MOJO", "byoc.flavors.h2o", ("*.zip",), extra="h2o", sign=signs.of_mojo),
    Flavor("H2O Driverless AI", "byoc.flavors.daimojo", ("pipeline.mojo",), extra="daimojo"),
)


@dataclass(frozen=True)
class Found:
    """A model's file, and its flavor."""

    flavor: Flavor
    file: Path


def find(folder: Path) -> Found:
    """Return the one model in a folder.

    Raises:
        ModelError: there is none, or more than one; names what was found, and what would be understood.

    """
    try:
        files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        files = []
    found = [
        Found(flavor, file)
        for flavor in FLAVORS
        for file in files
        if any(file.match(pattern) for pattern in flavor.files) and flavor.sign(file)
    ]
    if found and (found[0].flavor is FLAVORS[0] or len(found) == 1):
        return found[0]
    if found:
        several = ", ".join(f"{each.file.name} ({each.flavor.name})" for each in found)
        raise ModelError(
            f"{folder} holds more than one model: {several}; leave one, or define model_fn in your handler"
        )
    nothing = f"{folder} holds no model that is known by its files"
    if not files:
        raise ModelError(f"{nothing} (found: nothing: the model is not trained yet, or was not mounted)")
    there = ", ".join(file.name for file in files[:10])
    known = ", ".join(f"{' or '.join(flavor.files)} ({flavor.name})" for flavor in FLAVORS[1:])
    raise ModelError(f"{nothing} (found: {there}). Understood: {known}")


def load(folder: Path) -> Model:
    """Load the one model in a folder.

    Raises:
        ModelError: as `find`; or it cannot be loaded, or this image lacks its library.

    """
    found = find(folder)
    try:
        module = importlib.import_module(found.flavor.module)
    except ImportError as error:
        remedy = f"build it with --extra {found.flavor.extra}" if found.flavor.extra else "install it"
        raise ModelError(
            f"{found.file.name} is a model of {found.flavor.name}, and this image lacks what it needs ({error}); "
            f"{remedy}"
        ) from error
    model: Model = module.open_model(found.file)
    return model


def fork_safe(folder: Path) -> bool:
    """Tell whether the model in a folder may be shared by forked workers: ``FORK_SAFE`` of a handler without code.

    Where there is a GPU none may: what uses it cannot be forked.
    """
    return find(folder).flavor.fork_safe and not machine.devices("nvidia")


def pure(folder: Path) -> bool:
    """Tell whether the model in a folder only computes: ``PURE`` of a handler without code."""
    return find(folder).flavor.pure
