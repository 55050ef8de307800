"""The user's `predictor.py`: which functions it has, and how requests go through them."""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from byoc.errors import ModelError, UserError
from byoc.schema import FILE as SCHEMA_FILE
from byoc.schema import Schema
from byoc.serving.formats import records

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import ModuleType

    from byoc.serving.context import Context
    from byoc.serving.formats.records import Records

log = logging.getLogger(__name__)

TAKES = ("array", "frame", "records")
FUNCTIONS = ("model_fn", "predict_fn", "input_fn", "output_fn", "converse_fn")


@dataclass(frozen=True)
class Call:
    """One request on its way through the handler.

    Attributes:
        records: its decoded rows; None where the user's input_fn decodes.
        body, content_type, accept: as they came, for the user's input_fn and output_fn.
        context: for functions that take one.
        session: gives the values of the session that the request belongs to.

    """

    records: Records | None
    body: bytes
    content_type: str
    accept: str
    context: Context | None = None
    session: AbstractContextManager[dict[str, Any]] | None = None


@dataclass
class Handler:
    """The functions of a `predictor.py` and the model they work on.

    Attributes:
        model_fn: ``model_fn(model_dir)`` returns the model.
        predict_fn: ``predict_fn(data, model)`` returns one prediction a row, or yields the answer piece by piece.
        input_fn: ``input_fn(body, content_type)`` returns the data; None decodes by the media type and the schema.
        output_fn: ``output_fn(prediction, accept)`` returns a body, or a body and its media type, or yields a body
            piece by piece; None encodes by the media type.
        converse_fn: ``converse_fn(messages, model)`` takes an iterator over incoming messages and yields outgoing
            ones, text as str and binary as bytes; None offers no bidirectional streaming. All but model_fn may take a
            `Context` as well, behind the others.
        takes: what predict_fn is given where there is no input_fn: ``array``, ``frame`` or ``records``.
        fork_safe: whether the model may be loaded once and shared by forked workers.
        batchable: whether rows of several requests may go into one call.
        pure: whether predict_fn only computes, in a time that depends on the rows alone, and may run beside itself.

    """

    model_fn: Callable[[str], Any]
    predict_fn: Callable[[Any, Any], Any]
    input_fn: Callable[[bytes, str], Any] | None = None
    output_fn: Callable[[Any, str], Any] | None = None
    converse_fn: Callable[[Iterator[str | bytes], Any], Iterator[str | bytes]] | None = None
    takes: str = "frame"
    fork_safe: bool = False
    batchable: bool = True
    pure: bool = False
    model: Any = None
    schema: Schema | None = None
    loaded: bool = field(default=False)

    @classmethod
    def from_module(cls, module: ModuleType) -> Handler:
        """Find the functions of a module.

        Raises:
            UserError: model_fn or predict_fn is not there; names what was found.

        """
        found = {name: getattr(module, name, None) for name in FUNCTIONS}
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
            pure=getattr(module, "PURE", False),
        )

    @cached_property
    def shares_calls(self) -> bool:
        """Whether rows of several requests may go into one call of predict_fn."""
        return self.batchable and not self.streams and not _takes_context(self.predict_fn)

    @cached_property
    def streams(self) -> bool:
        """Whether predict_fn yields its answer."""
        return inspect.isgeneratorfunction(self.predict_fn)

    @cached_property
    def wants_context(self) -> bool:
        """Whether any of the functions takes a context."""
        return any(_takes_context(function) for function in (self.predict_fn, self.input_fn, self.output_fn))

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
        elif isinstance(schema := getattr(self.model, "schema", None), Schema):
            self.schema = schema
        if (takes := getattr(self.model, "takes", None)) in TAKES:
            self.takes = takes
        self.loaded = True

    def converse(self, messages: Iterator[str | bytes], context: Context) -> Iterator[str | bytes]:
        """Return the messages that answer a conversation's."""
        assert self.converse_fn is not None
        answers: Iterator[str | bytes] = _call(self.converse_fn, messages, self.model, context)
        return answers

    def predict(self, calls: Sequence[Call]) -> Sequence[Any]:
        """Return one result or exception for each request, with one call of predict_fn where it can be.

        A result is what output_fn returned or, without one, the predictions; an iterator is an answer in pieces. Where
        a call for several requests fails, each is tried alone, so that no request fails by another's data.
        """
        if len(calls) == 1:
            return [self._try(self._alone, calls[0])]
        parts = [call.records for call in calls if call.records is not None]
        predictions = self._try(self._predict, records.join(parts), calls[0])
        if isinstance(predictions, BaseException | Iterator):
            log.warning("a call for %d requests failed (%s); each is tried alone", len(calls), predictions)
            return [self._try(self._alone, call) for call in calls]
        results, start = [], 0
        for call, part in zip(calls, parts, strict=True):
            results.append(self._try(self._encode, _rows(predictions, start, start + len(part)), call))
            start += len(part)
        return results

    def _alone(self, call: Call) -> Any:
        if call.session is None or call.context is None:
            return self._answer(call)
        with ExitStack() as scope:
            call.context.session = scope.enter_context(call.session)
            result = self._answer(call)
            # The session lasts as long as the answer.
            return _until_end(result, scope.pop_all()) if isinstance(result, Iterator) else result

    def _answer(self, call: Call) -> Any:
        if self.input_fn is None:
            assert call.records is not None
            return self._encode(self._predict(call.records, call), call)
        data = _call(self.input_fn, call.body, call.content_type, call.context)
        return self._encode(_call(self.predict_fn, data, self.model, call.context), call)

    def _predict(self, rows: Records, call: Call) -> Any:
        """Return one prediction a row, or an iterator of pieces."""
        data = rows.array() if self.takes == "array" else rows.frame() if self.takes == "frame" else rows
        result = _call(self.predict_fn, data, self.model, call.context)
        if isinstance(result, Iterator):
            return result
        if not hasattr(result, "__len__") or isinstance(result, str | bytes | dict):
            raise TypeError(f"predict_fn returned {type(result).__name__}, not one prediction a row")
        if len(result) != len(rows):
            raise ValueError(f"predict_fn returned {len(result)} predictions for {len(rows)} rows")
        return result

    def _encode(self, prediction: Any, call: Call) -> Any:
        return prediction if self.output_fn is None else _call(self.output_fn, prediction, call.accept, call.context)

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


def _call(function: Callable[..., Any], first: Any, second: Any, context: Context | None) -> Any:
    return function(first, second, context) if _takes_context(function) else function(first, second)


@cache
def _takes_context(function: Callable[..., Any] | None) -> bool:
    """Tell whether a function's third argument is the context: it is called so, or has no default."""
    if function is None:
        return False
    third = list(inspect.signature(function).parameters.values())[2:3]
    return any(
        each.name == "context" or (each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD)
        for each in third
    )


def _until_end(pieces: Iterator[Any], scope: ExitStack) -> Iterator[Any]:
    with scope:
        yield from pieces


def _rows(result: Any, start: int, stop: int) -> Any:
    return result.iloc[start:stop] if hasattr(result, "iloc") else result[start:stop]
