"""joblib's backend for Dask, mended: whatever goes wrong with a task, joblib's call ends with it, and waits no longer.

joblib's own waits for ever for a task that cannot be sent, whose result cannot be sent back, or that Dask gives up.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from joblib._dask import DaskDistributedBackend, _TracebackCapturingWrapper

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future


class Backend(DaskDistributedBackend):  # type: ignore[misc]
    """Has joblib's tasks done by a client's workers, and what the tasks spread in their turn."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._tasks: set[Future[None]] = set()

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

    def get_nested_backend(self) -> tuple[Backend, int]:
        """Return what a task's own calls of joblib's are given to."""
        return Backend(client=self.client), -1

    def __reduce__(self) -> tuple[type[Backend], tuple[()]]:
        """Become one of the client that the worker has."""
        return Backend, ()
