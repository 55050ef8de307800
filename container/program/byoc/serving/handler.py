"""What answers requests: the user's functions, whatever the convention, and how requests go through them."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byoc.errors import ModelError, UserError
from byoc.schema import FILE as SCHEMA_FILE
from byoc.schema import Schema
from byoc.serving.call import Call, as_memory_error, call, takes_context
from byoc.serving.context import Context, system_properties
from byoc.serving.formats import records
from byoc.serving.formats.records import Records

if TYPE_CHECKING:
    from types import ModuleType

log = logging.getLogger(__name__)

# Said outright, or told by the model's folder.
Trait = bool | Callable[[Path], bool]
TAKES: dict[str, Callable[[Records], Any]] = {
    "array": Records.array,
    "numbers": Records.numbers,
    "frame": Records.frame,
    "records": lambda rows: rows,
}


@dataclass
class Handler:
    """The functions that answer and the model they work on. All may take a `Context` as well, behind their arguments.

    Attributes:
        model_fn: ``model_fn(model_dir)`` returns the model.
        predict_fn: ``predict_fn(data, model)`` returns one prediction a row, or yields the answer piece by piece.
        transform_fn: ``transform_fn(model, body, content_type, accept)`` does all that is left, in place of
            `predict_fn`, `input_fn` and `output_fn`; returns what `output_fn` does.
        input_fn: ``input_fn(body, content_type)`` returns the data; None decodes by the media type and the schema.
        output_fn: ``output_fn(prediction, accept)`` returns a body, or a body and its media type, or yields a body
            piece by piece; None encodes by the media type.
        converse_fn: ``converse_fn(messages, model)`` takes an iterator over incoming messages and yields outgoing
            ones, text as str and binary as bytes; None offers no bidirectional streaming.
        takes: what predict_fn is given where there is no input_fn, one of `TAKES`; a model that says so itself, by its
            own `takes`, is asked once it is loaded.
        fork_safe: whether the model may be loaded once and shared by forked workers.
        batchable: whether rows of several requests may go into one call.
        pure: whether predict_fn only computes, in a time that depends on the rows alone, and may run beside itself.
        content_types: media types that it decodes itself; other requests are refused. () leaves that to it.
        convention: whose functions they are, for people.
        names: what they are called in the user's file.
        properties: what a context tells of the server.
        home: the working directory, which its calls are to leave as it is.

    """

    model_fn: Callable[..., Any]
    predict_fn: Callable[..., Any] | None = None
    transform_fn: Callable[..., Any] | None = None
    input_fn: Callable[[bytes, str], Any] | None = None
    output_fn: Callable[[Any, str], Any] | None = None
    converse_fn: Callable[[Iterator[str | bytes], Any], Iterator[str | bytes]] | None = None
    takes: str = "frame"
    fork_safe: Trait = False
    batchable: bool = True
    pure: Trait = False
    content_types: Sequence[str] = ()
    convention: str = "functions"
    names: tuple[str, ...] = ()
    model: Any = None
    schema: Schema | None = None
    loaded: bool = field(default=False)
    properties: dict[str, Any] = field(default_factory=dict)
    home: str = field(default_factory=os.getcwd)

    @cached_property
    def shares_calls(self) -> bool:
        """Whether rows of several requests may go into one call of predict_fn."""
        return self.batchable and self.decodes and not self.streams and not takes_context(self.predict_fn, 2)

    @cached_property
    def decodes(self) -> bool:
        """Whether requests are to be decoded for it; else it is given their bodies."""
        return self.input_fn is None and self.transform_fn is None

    @cached_property
    def encodes(self) -> bool:
        """Whether it encodes its answers itself; else its predictions are to be encoded."""
        return self.output_fn is not None or self.transform_fn is not None or self.streams

    @cached_property
    def streams(self) -> bool:
        """Whether predict_fn yields its answer."""
        return inspect.isgeneratorfunction(self.predict_fn)

    @cached_property
    def wants_context(self) -> bool:
        """Whether any of the functions takes a context."""
        functions = (self.predict_fn, self.input_fn, self.output_fn)
        return any(takes_context(function, 2) for function in functions) or takes_context(self.transform_fn, 4)

    def is_fork_safe(self, model_dir: Path) -> bool:
        """Tell whether the model in a folder may be loaded once and shared by forked workers.

        Raises:
            ModelError: that depends on the model, and there is none.

        """
        return self.fork_safe(model_dir) if callable(self.fork_safe) else self.fork_safe

    def load(self, model_dir: Path) -> None:
        """Load the model; a second call does nothing.

        Raises:
            UserError: what model_fn says is wrong, or that it failed.

        """
        if self.loaded:
            return
        self.properties = system_properties(model_dir)
        try:
            self.model = call(self.model_fn, str(model_dir), context=Context.of_load(self.properties))
            self.pure = self.pure(model_dir) if callable(self.pure) else self.pure
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            # Where a handler only fails when it is asked for its model, its own lines say more than this one.
            log.exception("the model could not be loaded")
            cause = as_memory_error(error)
            raise ModelError(f"{self._loader} failed: {type(error).__name__}: {error}") from cause
        # Where loading leaves the process is where its calls expect to be.
        self.home = str(Path.cwd())
        self._check_model()
        if (model_dir / SCHEMA_FILE).exists():
            self.schema = Schema.load(model_dir)
        elif isinstance(schema := getattr(self.model, "schema", None), Schema):
            self.schema = schema
        if (takes := getattr(self.model, "takes", None)) in TAKES:
            self.takes = takes
        self.loaded = True

    @property
    def _loader(self) -> str:
        """What loads the model, as the user knows it."""
        if self.convention == "functions":
            return "model_fn"
        return f"{self.names[0]}, called without data to load the model,"

    def _check_model(self) -> None:
        """Refuse a model that nothing can ask.

        Raises:
            ModelError: there is no predict_fn, and it has no predict.

        """
        asks = self.convention != "functions" or {"predict_fn", "transform_fn"} & set(self.names)
        if self.names and not asks and not callable(getattr(self.model, "predict", None)):
            raise ModelError(
                f"there is no predict_fn(data, model), and what model_fn returned, a {type(self.model).__name__}, "
                f"has no predict (found: {', '.join(self.names)})"
            )

    def _come_home(self) -> None:
        """Return to the folder that the user's code left: the server and its next requests expect to be there."""
        try:
            gone = os.getcwd() != self.home  # noqa: PTH109 - text, and a microsecond
        except OSError:  # it is deleted
            gone = True
        if gone:
            log.warning("the handler changed the working directory; it is set back to %s", self.home)
            os.chdir(self.home)

    def converse(self, messages: Iterator[str | bytes], context: Context) -> Iterator[str | bytes]:
        """Return the messages that answer a conversation's."""
        assert self.converse_fn is not None
        answers: Iterator[str | bytes] = call(self.converse_fn, messages, self.model, context=context)
        return answers

    def predict(self, calls: Sequence[Call]) -> Sequence[Any]:
        """Return one result or exception for each request, with one call of predict_fn where it can be.

        A result is what output_fn returned or, without one, the predictions; an iterator is an answer in pieces. Where
        a call for several requests fails, each is tried alone, so that no request fails by another's data.
        """
        if len(calls) == 1:
            return [self._try(self._alone, calls[0])]
        parts = [asked.records for asked in calls if asked.records is not None]
        predictions = self._try(self._predict, records.join(parts), calls[0])
        if isinstance(predictions, BaseException | Iterator):
            log.warning("a call for %d requests failed (%s); each is tried alone", len(calls), predictions)
            return [self._try(self._alone, asked) for asked in calls]
        results, start = [], 0
        for asked, part in zip(calls, parts, strict=True):
            results.append(self._try(self._encode, _rows(predictions, start, start + len(part)), asked))
            start += len(part)
        return results

    def _alone(self, asked: Call) -> Any:
        if asked.session is None or asked.context is None:
            return self._answer(asked)
        with ExitStack() as scope:
            asked.context.session = scope.enter_context(asked.session)
            result = self._answer(asked)
            # The session lasts as long as the answer.
            return _until_end(result, scope.pop_all()) if isinstance(result, Iterator) else result

    def _answer(self, asked: Call) -> Any:
        context = asked.context
        if self.transform_fn is not None:
            return call(self.transform_fn, self.model, asked.body, asked.content_type, asked.accept, context=context)
        if self.input_fn is None:
            assert asked.records is not None
            return self._encode(self._predict(asked.records, asked), asked)
        assert self.predict_fn is not None
        data = call(self.input_fn, asked.body, asked.content_type, context=context)
        return self._encode(call(self.predict_fn, data, self.model, context=context), asked)

    def _predict(self, rows: Records, asked: Call) -> Any:
        """Return one prediction a row, or an iterator of pieces."""
        assert self.predict_fn is not None
        result = call(self.predict_fn, TAKES[self.takes](rows), self.model, context=asked.context)
        if isinstance(result, Iterator):
            return result
        if not hasattr(result, "__len__") or isinstance(result, str | bytes | dict):
            raise TypeError(f"predict_fn returned {type(result).__name__}, not one prediction a row")
        if len(result) != len(rows):
            raise ValueError(f"predict_fn returned {len(result)} predictions for {len(rows)} rows")
        return result

    def _encode(self, prediction: Any, asked: Call) -> Any:
        if self.output_fn is None:
            return prediction
        return call(self.output_fn, prediction, asked.accept, context=asked.context)

    def _try(self, step: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return step(*arguments)
        except BaseException as error:  # noqa: BLE001 - also SystemExit: what user code raises ends one request only
            return as_memory_error(error)
        finally:
            if not self.pure:
                self._come_home()


def settings_of(module: ModuleType) -> dict[str, Any]:
    """Return what a module says of its model and its requests, by the names of `Handler`, as far as it does."""
    names = ("FORK_SAFE", "BATCHABLE", "PURE", "CONTENT_TYPES")
    return {name.lower(): getattr(module, name) for name in names if hasattr(module, name)}


def _until_end(pieces: Iterator[Any], scope: ExitStack) -> Iterator[Any]:
    with scope:
        yield from pieces


def _rows(result: Any, start: int, stop: int) -> Any:
    return result.iloc[start:stop] if hasattr(result, "iloc") else result[start:stop]
