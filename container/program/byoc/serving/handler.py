"""The user's `predictor.py`: which functions it has, and how requests go through them."""

from __future__ import annotations

import importlib
import inspect
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from byoc.errors import ModelError, UserError
from byoc.schema import FILE as SCHEMA_FILE
from byoc.schema import Schema
from byoc.serving.formats import records

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import ModuleType

    from byoc.serving.formats.records import Records

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """One request on its way through the handler.

    Attributes:
        records: its decoded rows; None where the user's input_fn decodes.
        body, content_type, accept: as they came, for the user's input_fn and output_fn.

    """

    records: Records | None
    body: bytes
    content_type: str
    accept: str


@dataclass
class Handler:
    """The functions of a `predictor.py` and the model they work on.

    Attributes:
        model_fn: ``model_fn(model_dir)`` returns the model.
        predict_fn: ``predict_fn(data, model)`` returns one prediction a row.
        input_fn: ``input_fn(body, content_type)`` returns the data; None decodes by the media type and the schema.
        output_fn: ``output_fn(prediction, accept)`` returns a body, or a body and its media type; None encodes by the
            media type.
        takes: what predict_fn is given where there is no input_fn: ``array``, ``frame`` or ``records``.
        fork_safe: whether the model may be loaded once and shared by forked workers.
        batchable: whether rows of several requests may go into one call.

    """

    model_fn: Callable[[str], Any]
    predict_fn: Callable[[Any, Any], Any]
    input_fn: Callable[[bytes, str], Any] | None = None
    output_fn: Callable[[Any, str], Any] | None = None
    takes: str = "frame"
    fork_safe: bool = False
    batchable: bool = True
    model: Any = None
    schema: Schema | None = None
    loaded: bool = field(default=False)

    @classmethod
    def from_module(cls, module: ModuleType) -> Handler:
        """Find the functions of a module.

        Raises:
            UserError: model_fn or predict_fn is not there; names what was found.

        """
        found = {name: getattr(module, name, None) for name in ("model_fn", "predict_fn", "input_fn", "output_fn")}
        missing = [name for name in ("model_fn", "predict_fn") if not callable(found[name])]
        if missing:
            there = ", ".join(sorted(name for name in vars(module) if name.endswith("_fn"))) or "none of them"
            raise UserError(
                f"{module.__name__}.py defines no {' and no '.join(missing)} (found: {there}); "
                "it needs model_fn(model_dir) and predict_fn(data, model)"
            )
        return cls(
            **{name: function for name, function in found.items() if function is not None},
            takes=_takes(module.predict_fn),
            fork_safe=getattr(module, "FORK_SAFE", False),
            batchable=getattr(module, "BATCHABLE", True),
        )

    def load(self, model_dir: Path) -> None:
        """Load the model; a second call does nothing.

        Raises:
            UserError: what model_fn says is wrong, or that it failed.

        """
        if self.loaded:
            return
        try:
            self.model = self.model_fn(str(model_dir))
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            log.exception("model_fn failed")
            raise ModelError(f"model_fn failed: {type(error).__name__}: {error}") from error
        if (model_dir / SCHEMA_FILE).exists():
            self.schema = Schema.load(model_dir)
        self.loaded = True

    def predict(self, calls: Sequence[Call]) -> Sequence[Any]:
        """Return one result or exception for each request, with one call of predict_fn where it can be.

        A result is what output_fn returned or, without one, the predictions. Where a call for several requests fails,
        each is tried alone, so that no request fails by another's data.
        """
        if len(calls) == 1:
            return [self._try(self._alone, calls[0])]
        parts = [call.records for call in calls if call.records is not None]
        predictions = self._try(self._predict, records.join(parts))
        if isinstance(predictions, BaseException):
            log.warning("a call for %d requests failed (%s); each is tried alone", len(calls), predictions)
            return [self._try(self._alone, call) for call in calls]
        results, start = [], 0
        for call, part in zip(calls, parts, strict=True):
            results.append(self._try(self._encode, _rows(predictions, start, start + len(part)), call))
            start += len(part)
        return results

    def _alone(self, call: Call) -> Any:
        if self.input_fn is None:
            assert call.records is not None
            return self._encode(self._predict(call.records), call)
        return self._encode(self.predict_fn(self.input_fn(call.body, call.content_type), self.model), call)

    def _predict(self, rows: Records) -> Any:
        """Return one prediction a row."""
        data = rows.array() if self.takes == "array" else rows.frame() if self.takes == "frame" else rows
        result = self.predict_fn(data, self.model)
        if not hasattr(result, "__len__") or isinstance(result, str | bytes | dict):
            raise TypeError(f"predict_fn returned {type(result).__name__}, not one prediction a row")
        if len(result) != len(rows):
            raise ValueError(f"predict_fn returned {len(result)} predictions for {len(rows)} rows")
        return result

    def _encode(self, prediction: Any, call: Call) -> Any:
        return prediction if self.output_fn is None else self.output_fn(prediction, call.accept)

    @staticmethod
    def _try(step: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return step(*arguments)
        except BaseException as error:  # noqa: BLE001 - also SystemExit: what user code raises ends one request only
            return error


def load_module(name: str = "predictor") -> ModuleType:
    """Import the user's module.

    Raises:
        UserError: it is missing or cannot be imported; names the error.

    """
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise UserError(f"{name}.py cannot be imported: {type(error).__name__}: {error}") from error


def _takes(predict_fn: Callable[..., Any]) -> str:
    """Tell from the annotation of predict_fn's first argument whether it wants an array, a frame or our records."""
    parameters = list(inspect.signature(predict_fn).parameters.values())
    if len(parameters) < 2:  # noqa: PLR2004
        raise UserError("predict_fn must take the data and the model: predict_fn(data, model)")
    annotation = str(parameters[0].annotation).lower()
    return "array" if "array" in annotation else "records" if "records" in annotation else "frame"


def _rows(result: Any, start: int, stop: int) -> Any:
    return result.iloc[start:stop] if hasattr(result, "iloc") else result[start:stop]
