"""Natural batching: while one prediction runs, requests queue; the next call takes all of them that are alike.

There is no timer: a request that comes when nothing runs is predicted at once, alone. The worker's event loop goes on
receiving while the model works in a thread of its own, an ordinary one that gevent has not touched.

To hand a call over to that thread and back takes a tenth of a millisecond, more than many a model takes for a row. So
where a model is `pure`, which is to say that how long it takes depends on the rows alone, calls that are known to be
brief run on the event loop instead: instant ones at once, beside whatever runs in the thread, others when their turn
comes.

All methods run on the event loop, so nothing here needs a lock; only `Batcher._run`, with what it calls, is for the
thread too.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import AsyncResult
from gevent.threadpool import ThreadPool

from byoc.errors import RowError
from byoc.serving.errors import RequestError, overloaded

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

log = logging.getLogger(__name__)

# Seconds that a call may take on the event loop: at once, and in its turn.
INSTANT, BRIEF = 0.0001, 0.001
# As many times as long as a call for one row, a call gains little by taking others along: it is made at once too.
LITTLE_GAIN = 4
# How long, of the last call's time, the next one lets requests that keep arriving join it.
SHARE_ARRIVING = 1 / 4
# Seconds for the last answers to leave before a stuck worker ends.
FAREWELL = 0.5
# How much of a call that took longer than expected is believed; one that took less is believed at once.
DOUBT = 1 / 32


@dataclass(slots=True)
class Timings:
    """Where a request's time went, in seconds."""

    decode: float = 0.0
    queue: float = 0.0
    predict: float = 0.0
    encode: float = 0.0


@dataclass(eq=False, slots=True)
class Item:
    """One request's rows, waiting for their predictions; or a step of its own, which is called instead of the model."""

    data: Any
    rows: int
    layout: Hashable | None  # items of equal layout may share a call; None never shares
    timings: Timings
    step: Callable[[], Any] | None = None
    arrived: float = field(default_factory=time.monotonic)
    result: AsyncResult = field(default_factory=AsyncResult)


class Pace:
    """How long calls take, by their rows."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}

    def expect(self, rows: int) -> float:
        """Return the seconds that a call takes; infinity where there was none of that size."""
        return self._seconds.get(rows.bit_length(), math.inf)

    def is_instant(self, rows: int) -> bool:
        """Tell whether a call is to be made at once, on the event loop."""
        seconds = self.expect(rows)
        return seconds < INSTANT or self.expect(1) * LITTLE_GAIN < seconds < BRIEF

    def note(self, rows: int, seconds: float) -> None:
        """Take what a call took into account, for calls of up to twice or half as many rows too."""
        before = self.expect(rows)
        self._seconds[rows.bit_length()] = min(seconds, before + (seconds - before) * DOUBT)


class Batcher:
    """A queue in front of a model.

    Args:
        call: takes the data of one or several items, returns one result or exception each; runs in the thread.
        queue: items that may wait.
        batch_rows: rows that a call may be given from several items; an item as large as that goes alone.
        deadline: seconds an item may take, waiting and running together.
        pure: whether the call's time depends on the rows alone, and calls may run beside one another.

    Attributes:
        busy_since: monotonic seconds at which the running call began, 0 while none runs.
        failures: calls' items that failed by our fault since the last one that did not.
        on_change: called whenever `busy_since` changes.

    """

    def __init__(
        self,
        call: Callable[[Sequence[Any]], Sequence[Any]],
        *,
        queue: int,
        batch_rows: int,
        deadline: float,
        pure: bool = False,
    ) -> None:
        self._call = call
        self._pure = pure
        self._pace = Pace()
        self._queue = queue
        self._batch_rows = batch_rows
        self._deadline = deadline
        self._waiting: deque[Item] = deque()
        self._thread = ThreadPool(1)
        self._dispatching = False
        self.busy_since = 0.0
        self.failures = 0
        self.on_change: Callable[[], None] = lambda: None

    def submit(
        self, data: Any, rows: int, layout: Hashable | None, timings: Timings | None = None, within: float | None = None
    ) -> Any:
        """Return the result for the data, once its turn has come.

        Args:
            data: what the model's call is given.
            rows: how many they are.
            layout: items of equal layout may share a call; None never shares.
            timings: told how long the item waited and ran.
            within: seconds until the deadline, where that is not a whole one from now.

        Raises:
            RequestError: 503 where the queue is full or the item's turn did not come in time; 504 where the model
                itself ran out of time.

        """
        if self._pure and layout is not None and self._pace.is_instant(rows):
            return self._at_once(data, rows, timings or Timings())
        return self._wait(Item(data, rows, layout, timings or Timings()), within)

    def try_out(self, data: Any, rows: int) -> None:
        """Make a call for nobody, to know before the first request how long it takes."""
        results, took = self._timed(lambda: self._call([data]), 1)
        if not isinstance(results[0], BaseException):
            self._pace.note(rows, took)

    def _at_once(self, data: Any, rows: int, timings: Timings) -> Any:
        """Return the result of a call on the event loop, past those that wait."""
        (result,), took = self._timed(lambda: self._call([data]), 1)
        self._pace.note(rows, took)
        timings.predict += took
        return self._told(result)

    def run(self, step: Callable[[], Any], timings: Timings | None = None) -> Any:
        """Return what the step returns, called in the model's thread when its turn has come.

        Raises:
            RequestError: as `submit`; whatever the step raises.

        """
        return self._wait(Item(None, 1, None, timings or Timings(), step), None)

    def _wait(self, item: Item, within: float | None) -> Any:
        if len(self._waiting) >= self._queue:
            raise overloaded(f"{self._queue} requests are waiting already", retry_after=1)
        self._waiting.append(item)
        if not self._dispatching:
            self._dispatching = True
            gevent.spawn(self._dispatch)
        try:
            return item.result.get(timeout=self._deadline if within is None else max(0.0, within))
        except gevent.Timeout:
            if item in self._waiting:
                self._waiting.remove(item)
                raise overloaded("the request waited too long for its turn", retry_after=5) from None
            raise RequestError(504, "prediction_timeout", "the model did not answer in time") from None

    @property
    def is_stuck(self) -> bool:
        """Whether the running prediction has outlived every request's deadline."""
        return bool(self.busy_since) and time.monotonic() - self.busy_since > self._deadline + 1.0

    def abandon(self, whose: str) -> None:
        """Answer 503 to all that wait, and let the answers leave: the worker or process, which is named, is to end."""
        seconds = time.monotonic() - self.busy_since
        log.error(
            "a prediction has been running for %.0f s and cannot be interrupted; replacing this %s", seconds, whose
        )
        while self._waiting:
            self._waiting.popleft().result.set_exception(overloaded("the worker is being replaced", retry_after=1))
        gevent.sleep(FAREWELL)

    def _dispatch(self) -> None:
        try:
            while self._waiting:
                batch = self._take()
                began = time.monotonic()
                self._set_busy(began)
                results, took = self._compute(batch)
                for item in batch:
                    item.timings.queue += began - item.arrived
                    item.timings.predict += took
                self._finish(batch, results)
                # Answers leave, and what has arrived meanwhile joins the next call.
                with gevent.Timeout(took * SHARE_ARRIVING, False):
                    gevent.idle()
        finally:
            self._dispatching = False
            self._set_busy(0.0)

    def _compute(self, batch: Sequence[Item]) -> tuple[Sequence[Any], float]:
        """Return the results, and the seconds they took: on the event loop where that is brief, else in the thread."""
        rows = sum(item.rows for item in batch)
        is_known = self._pure and batch[0].layout is not None
        if is_known and self._pace.expect(rows) < BRIEF:
            results, took = self._run(batch)
        else:
            results, took = self._thread.apply(self._run, (batch,))
        if is_known:
            self._pace.note(rows, took)
        return results, took

    def _set_busy(self, since: float) -> None:
        self.busy_since = since
        self.on_change()

    def _take(self) -> list[Item]:
        """Return the first item that waits, and as many behind it as fit one call, in the order of their arrival."""
        first = self._waiting.popleft()
        batch = [first]
        if first.layout is None or first.rows >= self._batch_rows:
            return batch
        rows = first.rows
        passed: deque[Item] = deque()
        while self._waiting and rows < self._batch_rows:
            item = self._waiting.popleft()
            if item.layout == first.layout and rows + item.rows <= self._batch_rows:
                batch.append(item)
                rows += item.rows
            else:
                passed.append(item)
        self._waiting.extendleft(reversed(passed))
        return batch

    def _run(self, batch: Sequence[Item]) -> tuple[Sequence[Any], float]:
        step = batch[0].step
        if step is not None:
            return self._timed(lambda: [step()], 1)
        return self._timed(lambda: self._call([item.data for item in batch]), len(batch))

    @staticmethod
    def _timed(call: Callable[[], Sequence[Any]], count: int) -> tuple[Sequence[Any], float]:
        """Return what a call returned for so many items, or what it raised for each, and the seconds it took."""
        began = time.monotonic()
        try:
            results = call()
        except BaseException as error:  # noqa: BLE001 - user code may raise SystemExit; the request fails, not the worker
            results = [error] * count
        return results, time.monotonic() - began

    def _finish(self, batch: Sequence[Item], results: Sequence[Any]) -> None:
        for item, result in zip(batch, results, strict=True):
            try:
                item.result.set(self._told(result))
            except Exception as error:  # noqa: BLE001 - who waits is told
                item.result.set_exception(error)

    def _told(self, result: Any) -> Any:
        """Return a result, or raise what it is instead; count what is the model's fault."""
        if not isinstance(result, BaseException):
            self.failures = 0
            return result
        self.failures += _is_ours(result)
        raise _ordinary(result)


def _is_ours(error: BaseException) -> bool:
    """Whether the fault is ours or the model's, not the caller's."""
    return not isinstance(error, RowError) and not (isinstance(error, RequestError) and error.status < 500)  # noqa: PLR2004


def _ordinary(error: BaseException) -> Exception:
    """Return what ends a request: SystemExit and its like, raised again on the event loop, would end all of them."""
    if isinstance(error, Exception):
        return error
    failure = RuntimeError(f"{type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure
