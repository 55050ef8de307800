"""A process forked from the template, by the standard library's fork server."""

from __future__ import annotations

import multiprocessing
import threading
from multiprocessing.connection import wait
from typing import Any

FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(["byoc.serving.models.process", "byoc.serving.models.template"])
# multiprocessing reads an exit code once, from a pipe, and looks at all its processes whenever it starts one: two
# threads that did so at a time would take it from each other.
LOCK = threading.Lock()


class Fork:
    """A running process.

    Args:
        function: what it runs, by its name in `byoc.serving.models.process`; the last argument of each of them is the
            connection that it reports to.
        arguments: the others.

    Attributes:
        exit_code: as of `subprocess`, negative where a signal ended it; None until `has_ended` has told of the end.

    Raises:
        EOFError, OSError: the template cannot be forked.

    """

    def __init__(self, function: str, *arguments: Any) -> None:
        self.exit_code: int | None = None
        self._reports, sender = FORKSERVER.Pipe(duplex=False)
        self._process = FORKSERVER.Process(target=_run, args=(function, *arguments, sender))
        with LOCK:
            self._process.start()
        sender.close()

    def report(self, seconds: float) -> Any:
        """Return the first thing that the process reports.

        Raises:
            EOFError: it ended without.
            TimeoutError: it took longer.

        """
        with self._reports:
            if not self._reports.poll(seconds):
                raise TimeoutError
            return self._reports.recv()

    def has_ended(self, seconds: float | None = None) -> bool:
        """Wait for the end, for ever or some seconds; return whether it came."""
        if not wait([self._process.sentinel], seconds):
            return False
        with LOCK:
            self.exit_code = self._process.exitcode
        return True

    def end(self, seconds: float) -> None:
        """Ask it to end, kill it when it has not within some seconds, and return when it is gone."""
        self._process.terminate()
        if not self.has_ended(seconds):
            self._process.kill()
            self.has_ended()


def _run(function: str, *arguments: Any) -> None:
    from byoc.serving.models import process  # noqa: PLC0415 - the manager does without NumPy, pandas and the like

    getattr(process, function)(*arguments)
