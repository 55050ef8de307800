"""What is told of a model that has a schema, in the words of H2O's hosted scorers: its id, its columns, a request."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

from byoc.serving.formats import score_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from byoc.schema import Column, Schema

# Of the server's, whatever its model: Shapley values and prediction intervals are not computed.
CAPABILITIES = ["SCORE"]
TYPES = {"number": "Float64", "boolean": "Bool", "text": "Str"}


class Description:
    """A model as its routes tell it.

    Args:
        model: may have `id`, a text; `outputs`, the names of what it predicts; and `answers`, which is ``fields`` where
            it is one of H2O's, whose clients want that form for an object of named values too.
        schema: of its rows; None where there is none.

    Attributes:
        outputs: the names that the model gives; () where it gives none.
        answers_fields: whether objects are answered as tables.

    """

    def __init__(self, model: Any, schema: Schema | None) -> None:
        self._model = model
        self._schema = schema
        outputs = getattr(model, "outputs", ())
        # Anybody's model may have attributes of that name, for something else.
        is_named = isinstance(outputs, list | tuple) and all(isinstance(name, str) for name in outputs)
        self.outputs: Sequence[str] = tuple(outputs) if is_named else ()
        self.answers_fields = getattr(model, "answers", "") == "fields"

    @cached_property
    def id(self) -> str:
        """The model's own id; without one, always the same for the same schema and what it was learned from."""
        own = getattr(self._model, "id", None)
        if isinstance(own, str):
            return own
        told = json.dumps(asdict(self._schema) if self._schema is not None else None, sort_keys=True, default=str)
        return str(uuid.uuid5(uuid.NAMESPACE_OID, hashlib.sha256(told.encode()).hexdigest()))

    def fields(self, prediction: Any | None) -> dict[str, Any]:
        """Return the names and types of all that goes in, and of what comes out.

        Args:
            prediction: for one row; None leaves out what comes out.

        """
        columns = self._columns
        told: dict[str, Any] = {"inputFields": [_field(column.name, TYPES[column.kind]) for column in columns]}
        if prediction is not None:
            names, (values,) = score_table.table(prediction, self.outputs)
            told["outputFields"] = [_field(name, _type(value)) for name, value in zip(names, values, strict=True)]
        return {"id": self.id, "schema": told}

    def sample_request(self) -> dict[str, Any]:
        """Return a request that the server answers; its one row means nothing."""
        return {
            "fields": [column.name for column in self._columns],
            "rows": [[_example(column) for column in self._columns]],
        }

    @property
    def _columns(self) -> Sequence[Column]:
        return () if self._schema is None else self._schema.columns


def _field(name: str, data_type: str) -> dict[str, str]:
    return {"name": name, "dataType": data_type}


def _type(value: Any) -> str:
    """Return the name of a value's type; what is missing may be any number."""
    kinds = {bool: "Bool", int: "Int64", str: "Str"}
    return kinds.get(type(value), "Float64")


def _example(column: Column) -> str:
    """Return a value from the midst of what the column held in training, as far as that is known."""
    if column.kind == "boolean":
        return "true"
    if column.kind == "text":
        return column.categories[0] if column.categories else "text"
    if column.minimum is None or column.maximum is None:
        return "0"
    return repr(column.minimum / 2 + column.maximum / 2)
