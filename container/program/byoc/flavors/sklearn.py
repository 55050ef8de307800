"""scikit-learn models as ``model.skops``: a format that holds data, where a pickle holds a program."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import skops.io

from byoc.errors import ModelError
from byoc.flavors.estimator import Estimator

if TYPE_CHECKING:
    from pathlib import Path

FILE = "model.skops"
# What histogram gradient boosting over categories holds, and an imputer: the type of its numbers, kept as that of an
# array of none. A partial runs nothing but the function inside it, which is named, and has to be trusted, by itself.
HARMLESS = frozenset({"functools.partial", "numpy.dtype", "sklearn.utils.validation.check_array"})


def save(model: Any, folder: Path) -> None:
    """Write ``model.skops`` into the folder.

    Raises:
        ModelError: the disk is full or not writable, or skops does not know how to write the model.

    """
    write(model, folder / FILE)


def write(model: Any, file: Path) -> None:
    """Write the model into a file of the skops format.

    Raises:
        ModelError: as `save`.

    """
    try:
        skops.io.dump(model, file)
    except OSError as error:
        raise ModelError(f"cannot write {file}: {error.strerror or error}") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"{type(model).__name__} cannot be saved as skops: {error}") from error


def load(folder: Path) -> Any:
    """Return the model in the folder's ``model.skops``.

    Raises:
        ModelError: as `read`.

    """
    return read(folder / FILE)


def read(file: Path) -> Any:
    """Return the model in a file of the skops format.

    skops itself trusts most of scikit-learn and NumPy. Beyond that only classes of scikit-learn's own are allowed, no
    functions and nothing from other packages but what is in `HARMLESS`; there is no falling back to pickle.

    Raises:
        ModelError: the file is missing or damaged, or holds a type that is not trusted.

    """
    try:
        untrusted = skops.io.get_untrusted_types(file=file)
        strange = [name for name in untrusted if name not in HARMLESS and not _is_sklearn_class(name)]
        if strange:
            raise ModelError(f"{file} holds types that are not scikit-learn's: {', '.join(strange)}; it is not loaded")
        return skops.io.load(file, trusted=untrusted)
    except FileNotFoundError:
        raise ModelError(f"{file} is missing: the model is not trained yet, or was not mounted") from None
    except ModelError:
        raise
    except (BadZipFile, OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise ModelError(f"{file} cannot be loaded: {type(error).__name__}: {error}") from error


def open_model(file: Path) -> Estimator:
    """Return the model in a file of the skops format.

    Raises:
        ModelError: as `read` and `Estimator`.

    """
    return Estimator(read(file))


def _is_sklearn_class(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    if module.partition(".")[0] != "sklearn":
        return False
    return isinstance(getattr(importlib.import_module(module), attribute, None), type)
