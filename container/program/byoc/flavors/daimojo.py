"""Pipelines of H2O Driverless AI, ``pipeline.mojo``, scored by H2O.ai's own package, daimojo, under your licence."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byoc.errors import ModelError
from byoc.schema import Column, FreeText, Schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Where daimojo looks for a licence: in the first of these, in the file that the second names, and in these files.
KEY, FILE = "DRIVERLESS_AI_LICENSE_KEY", "DRIVERLESS_AI_LICENSE_FILE"
PLACES = (Path("/license/license.sig"), Path("~/.driverlessai/license.sig"))
# Where we let it be as well: beside the pipeline.
BESIDE = "license.sig"
LICENCE_ERROR = "license error"
NUMBERS = frozenset(["int32", "int64", "float32", "float64"])


class Pipeline:
    """A pipeline as daimojo has read it.

    Attributes:
        id: its uuid.
        outputs: the names of what it predicts: the target, or one name a class.
        takes: rows as the schema describes, of objects where the pipeline takes text.
        answers: that H2O's clients want their own form of answer.
        schema: the pipeline's features.

    """

    takes = "array"
    answers = "fields"

    def __init__(self, model: Any) -> None:
        self._model = model
        self.id = str(model.uuid)
        self.outputs = tuple(model.output_names)
        self._missing = frozenset(model.missing_values)
        columns = tuple(map(_column, model.feature_names, model.feature_types))
        self.schema = Schema(columns, problem_type="regression", created={"driverless_ai": model.dai_version})

    def predict(self, rows: NDArray[Any]) -> list[dict[str, Any]]:
        """Return what the pipeline has for each of (n, features) rows: a dict, by the names of its outputs."""
        import datatable  # noqa: PLC0415 - comes with daimojo

        columns = zip(self.schema.names, rows.T.tolist(), strict=True)
        cells = {name: [None if self._is_missing(cell) else cell for cell in column] for name, column in columns}
        found = self._model.predict(datatable.Frame(cells)).to_dict()
        return [dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)]

    def _is_missing(self, cell: str | float) -> bool:
        return cell in self._missing if isinstance(cell, str) else math.isnan(cell)


def open_model(file: Path) -> Pipeline:
    """Return the pipeline in a file.

    Raises:
        ModelError: there is no licence, or daimojo refuses it, or cannot read the file.

    """
    licence = find_licence(file.parent)
    import daimojo  # noqa: PLC0415 - an error of ours comes first, before the seconds that this takes

    try:
        return Pipeline(daimojo.model(str(file)))
    except RuntimeError as error:
        if LICENCE_ERROR in str(error):
            raise ModelError(f"H2O Driverless AI does not accept the licence in {licence}: {error}") from None
        raise ModelError(
            f"{file} cannot be read by daimojo ({error}); it has to be the whole pipeline.mojo of a MOJO pipeline"
        ) from None


def find_licence(folder: Path) -> str:
    """Have daimojo find a licence, which may lie beside the pipeline; return where it is.

    Raises:
        ModelError: there is none.

    """
    if os.environ.get(KEY):
        return KEY
    named, beside = os.environ.get(FILE, ""), folder / BESIDE
    if named and not Path(named).is_file():
        raise ModelError(f"{FILE}={named} names no file; set it to that of your H2O Driverless AI licence")
    if not named and beside.is_file():
        os.environ[FILE] = named = str(beside)
    places = [place for place in PLACES if place.expanduser().is_file()]
    if named or places:
        return named or str(places[0])
    raise ModelError(
        f"a pipeline of H2O Driverless AI needs your licence: set {KEY} to the key, {FILE} to a file that holds it, "
        f"or put {BESIDE} beside pipeline.mojo"
    )


def _column(name: str, kind: str) -> Column:
    """Return a feature; Driverless AI lets every one be missing."""
    if kind in NUMBERS:
        return Column(name, "number", missing=True)
    return Column(name, "boolean", missing=True) if kind == "bool" else FreeText(name)
