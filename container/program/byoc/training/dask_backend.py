"""joblib's backend for Dask, mended: what cannot be sent, and what Dask gives up, joblib's own waits for for ever."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from joblib._dask import DaskDistributedBackend, _TracebackCapturingWrapper

if TYPE_CHECKING:
    from collections.abc import Callable


class Backend(DaskDistributedBackend):  # type: ignore[misc]
    """Ends joblib's call with the error, be it that an argument cannot be pickled or that a task kills its workers.

    So it does for what the tasks spread in their turn.
    """

    def submit(self, func: Any, callback: Callable[[Any], None]) -> Future[Any]:
        """Have a batch of calls done; the callback is for what it returns, or for its error."""
        outcome = _Outcome()

        def tell_error(_: Future[Any]) -> None:
            if error := outcome.exception():
                callback(error)

        outcome.add_done_callback(tell_error)

        async def send() -> None:
            try:
                batch, calls = await self._to_func_args(func)
                key = f"{batch!r}-{uuid4().hex}"
                sent = self.client.submit(_TracebackCapturingWrapper(batch), tasks=calls, key=key, **self.submit_kwargs)
            except Exception as error:  # noqa: BLE001 - whatever it is, joblib raises it where it was called
                outcome.set_exception(error)
                return
            self._callbacks[sent] = callback
            self._results[sent] = outcome
            self.waiting_futures.add(sent)

        self.client.loop.add_callback(send)
        return outcome

    def get_nested_backend(self) -> tuple[Backend, int]:
        """Return what a task's own calls of joblib's are given to."""
        return Backend(client=self.client), -1

    def __reduce__(self) -> tuple[type[Backend], tuple[()]]:
        """Become one of the client that the worker has."""
        return Backend, ()


class _Outcome(Future[Any]):
    """A future by joblib's name for what it asks of it."""

    def get(self, timeout: float | None = None) -> Any:
        """Return the result."""
        return self.result(timeout)
