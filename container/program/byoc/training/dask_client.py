"""Dask's client as joblib is to use it: what is large is sent once, and the scheduler does nothing but schedule."""

from __future__ import annotations

import asyncio
import importlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import distributed
from dask.base import tokenize
from dask.sizeof import sizeof
from distributed.protocol import pickle

from byoc.training.dask_backend import Backend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    # A call of joblib's: the function, its arguments and those by name.
    Call = tuple[Callable[..., Any], list[Any], dict[str, Any]]

# Bytes from which on an argument of many tasks is put on every worker instead of into each task.
LARGE = 1 << 18
# Of a worker's memory, what they may take after the call of joblib's that brought them.
KEPT = 0.2
# What takes a worker's first task a second to import.
LIBRARIES = ("sklearn.ensemble", "sklearn.model_selection")


class Client(distributed.Client):  # type: ignore[misc]
    """Sends what joblib gives it so that little is sent, and nothing is lost with a worker.

    A small argument goes with each task, a large one to every worker. One that is sent again may be there already: a
    forest that grows by pauses takes the same rows each time.

    The scheduler is one process for all hosts. Results do not pass through it; and a task is one parcel to it, which
    it need not unpack, let alone import what is in it.
    """

    def __init__(self, address: str, **options: Any) -> None:
        self.room = 0.0
        self._sent: OrderedDict[str, _Sent] = OrderedDict()
        super().__init__(address, direct_to_workers=True, **options)

    def warm_up(self) -> None:
        """Have every worker import, meanwhile, what its first task is likely to need; they are all here by now."""
        workers = self.scheduler_info(n_workers=-1)["workers"]
        self.room = KEPT * min(each["memory_limit"] for each in workers.values())
        for worker in workers:
            distributed.fire_and_forget(self.submit(_import, LIBRARIES, workers=[worker], pure=False))

    def submit(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """As Dask's own; the calls of one of joblib's batches as a parcel."""
        if "tasks" not in options:
            return super().submit(function, *arguments, **options)
        calls, futures = _parcel(options.pop("tasks"))
        return super().submit(_unpack, pickle.dumps((function, calls)), futures, **options)

    def scatter(self, data: object, **options: Any) -> Any:
        """As Dask's own, to every worker; what joblib scatters, from the event loop, as the class says."""
        if not options.get("asynchronous"):
            return super().scatter(data, **{"broadcast": True, **options})
        return _itself(data) if sizeof(data) < LARGE else self._send(data, options)

    async def _send(self, data: object, options: dict[str, Any]) -> Any:
        token = tokenize(data)
        sent = self._sent.pop(token, None)
        if sent is None or sent.is_gone:
            coming = asyncio.ensure_future(super().scatter(data, **{**options, "broadcast": True}))
            sent = _Sent(sizeof(data), coming)
        self._sent[token] = sent
        while sum(each.size for each in self._sent.values()) > self.room:
            self._sent.popitem(last=False)
        return await sent.future


@dataclass(frozen=True)
class _Sent:
    """Data of so many bytes that are on the workers, or on their way."""

    size: int
    future: asyncio.Future[Any]

    @property
    def is_gone(self) -> bool:
        """Whether they were lost since."""
        done = self.future
        return done.done() and (done.cancelled() or bool(done.exception()) or done.result().status != "finished")


@dataclass(frozen=True)
class _Place:
    """Where an argument belongs that is on the workers already."""

    key: str


def _parcel(calls: Iterable[Call]) -> tuple[list[Call], dict[str, Any]]:
    """Return the calls with places for the futures among their arguments, and these by key."""
    futures: dict[str, Any] = {}

    def put(argument: Any) -> Any:
        if not isinstance(argument, distributed.Future):
            return argument
        futures[argument.key] = argument
        return _Place(argument.key)

    return _changed(calls, put), futures


def _unpack(parcel: bytes, data: Mapping[str, Any]) -> Any:
    function, calls = pickle.loads(parcel)
    return function(tasks=_changed(calls, lambda each: data[each.key] if isinstance(each, _Place) else each))


def _changed(calls: Iterable[Call], change: Callable[[Any], Any]) -> list[Call]:
    return [
        (function, [change(each) for each in given], {name: change(each) for name, each in named.items()})
        for function, given, named in calls
    ]


async def _itself(data: object) -> object:
    return data


def _import(libraries: Sequence[str]) -> None:
    for each in libraries:
        importlib.import_module(each)
    # Connects the worker's own client, which joblib has ready for what a task may spread in its turn.
    Backend()
