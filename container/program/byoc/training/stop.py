"""The platform's notice: SIGTERM, then 120 seconds, then SIGKILL.

StopTrainingJob, a time limit and a spot interruption all end a job so, and what lies in the model folder by then is
kept. An algorithm that trains in steps asks `StopNotice.requested` between them and returns with its best model so
far. One that never asks is ended at once.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

log = logging.getLogger(__name__)

# Seconds that an algorithm which asks may still take; the rest of the 120 is for saving.
PATIENCE = 100.0
# Seconds for `finally` blocks of one that does not ask, before a call that never returns to Python is cut.
IMPATIENCE = 5.0
# Seconds between two tries to raise what could not be raised at once.
RETRY = 0.1


class Stopped(BaseException):
    """Raised in the main thread to end an algorithm that does not ask for notice."""

    def __init__(self, signum: int) -> None:
        self.signum = signum
        super().__init__(signal.Signals(signum).name)


class StopNotice:
    """Receives SIGTERM and SIGINT on the job's behalf."""

    def __init__(self) -> None:
        self._signum: int | None = None
        self._undo: Callable[[], object] | None = None
        self._asked = False
        self._finishing = False
        self._raised = False
        self._is_second = False
        self._is_due = False

    @property
    def requested(self) -> bool:
        """Whether the job has been told to stop; asking makes the job one that stops by itself."""
        self._asked = True
        return self._signum is not None

    @property
    def signum(self) -> int:
        """The signal that asked for the stop, 0 while none has."""
        return self._signum or 0

    @property
    def broke_off(self) -> bool:
        """Whether `Stopped` was raised; it need not have arrived as such."""
        return self._raised

    def install(self) -> None:
        """Take the signals over; only the main thread may. Until `begin` one ends the process at once.

        The wakeup file descriptor is written to by the C handler at once, even while the main thread is in a long
        call of compiled code and Python's own handler has to wait.
        """
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._handle)
        threading.Thread(target=self._watch, args=(reader,), name="stop-notice", daemon=True).start()

    def begin(self, undo: Callable[[], object] = lambda: None) -> None:
        """From here on a signal stops the job in order; `undo` is called where the process is ended all the same."""
        self._undo = undo

    def finish(self) -> None:
        """From here on the job is only putting its model in place, which no signal interrupts."""
        self._finishing = True

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        is_retry, self._is_due = self._is_due, False
        self._is_second = self._is_second if is_retry else self._signum is not None
        self._signum = signum
        if self._finishing:
            return
        if self._undo is None:
            log.warning("stopped by %s before the training began", signal.Signals(signum).name)
            self._end(signum)
        if self._asked and not self._is_second:
            log.info("%s: stopping after the current step", signal.Signals(signum).name)
            return
        if self._raised:
            # What the first one undoes may be compiled code's with threads at work: pandas crashes where a second one
            # breaks off its waiting for them.
            log.warning("%s again: the job ends at once", signal.Signals(signum).name)
            self._end(signum)
        if _is_importing(frame):
            self._is_due = True
            return
        self._raised = True
        raise Stopped(signum)

    def _watch(self, reader: int) -> None:
        watched = {signal.SIGTERM, signal.SIGINT}
        signum = 0
        while signum not in watched:
            signum = os.read(reader, 1)[0]
        began = time.monotonic()
        while time.monotonic() - began < (PATIENCE if self._asked or self._finishing else IMPATIENCE):
            time.sleep(RETRY)
            if self._is_due:
                signal.pthread_kill(threading.main_thread().ident or 0, signum)
        if self._finishing:
            return
        log.error("the job did not stop in time after %s; it ends without a model", signal.Signals(signum).name)
        self._end(signum)

    def _end(self, signum: int) -> NoReturn:
        if self._undo is not None:
            self._undo()
        os._exit(128 + signum)


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported: compiled ones swallow what is raised then, or make another error of it."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
