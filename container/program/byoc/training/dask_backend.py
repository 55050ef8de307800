"""joblib's backend for Dask, mended: where Dask gives a task up, joblib's own waits for it for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from joblib._dask import DaskDistributedBackend

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future


class Backend(DaskDistributedBackend):  # type: ignore[misc]
    """Ends the work with Dask's own error, such as that a task has killed its workers; so do tasks that spread work."""

    def submit(self, func: Any, callback: Callable[[Any], None]) -> Future[Any]:
        """Have the batch of calls done; what it returns, or its error, is for the callback."""
        future: Future[Any] = super().submit(func, callback)

        def tell_error(done: Future[Any]) -> None:
            if error := done.exception():
                callback(error)

        future.add_done_callback(tell_error)
        return future

    def get_nested_backend(self) -> tuple[Backend, int]:
        """Return what a task's own calls of joblib's are given to."""
        return Backend(client=self.client), -1

    def __reduce__(self) -> tuple[type[Backend], tuple[()]]:
        """Become one of the client that the worker has."""
        return Backend, ()
