"""joblib's backend for Dask, mended: whatever goes wrong with a task, joblib's call ends with it, and waits no longer.

joblib's own waits for ever for a task that cannot be sent, whose result cannot be sent back, or that Dask gives up.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from joblib import register_parallel_backend
from joblib._dask import DaskDistributedBackend, _TracebackCapturingWrapper, _WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future


class Backend(DaskDistributedBackend):  # type: ignore[misc]
    """Has joblib's tasks done by a client's workers, and what the tasks spread in their turn."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._tasks: set[Future[None]] = set()

    def start_call(self) -> None:
        """Begin a call of joblib's; nothing is to collect the results, since each task tells its own."""
        self.call_data_futures = _WeakKeyDictionary()

    def stop_call(self) -> None:
        """End it, and forget what was sent for it."""
        self.call_data_futures.clear()

    def submit(self, func: Any, callback: Callable[[Any], None]) -> Future[None]:
        """Have a batch of calls done; the callback is for what it returns, or for its error."""
        task = asyncio.run_coroutine_threadsafe(self._do(func, callback), self.client.loop.asyncio_loop)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _do(self, func: Any, callback: Callable[[Any], None]) -> None:
        try:
            batch, calls = await self._to_func_args(func)
            name = f"{batch!r}-{uuid4().hex}"
            result = await self.client.submit(
                _TracebackCapturingWrapper(batch), tasks=calls, key=name, **self.submit_kwargs
            )
        except Exception as error:  # noqa: BLE001 - joblib raises it where it was called
            result = error
        callback(result)

    def abort_everything(self, ensure_ready: bool = True) -> None:  # noqa: ARG002 - joblib's own
        """Forget the tasks; Dask cancels what nobody waits for."""
        for task in tuple(self._tasks):
            task.cancel()


# By the name that tasks ask for when they spread work in their turn: each worker loads this module first.
register_parallel_backend("dask", Backend)
