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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

log = logging.getLogger(__name__)

# Seconds that an algorithm which asks may still take; the rest of the 120 is for saving.
PATIENCE = 100.0
# Seconds for `finally` blocks of one that does not ask, before a call that never returns to Python is cut.
IMPATIENCE = 5.0


class Stopped(BaseException):
    """Raised in the main thread to end an algorithm that does not ask for notice."""

    def __init__(self, signum: int) -> None:
        self.signum = signum
        super().__init__(signal.Signals(signum).name)


class StopNotice:
    """Receives SIGTERM and SIGINT on the job's behalf."""

    def __init__(self) -> None:
        self._signum: int | None = None
        self._asked = False
        self._finishing = False
        self._raised = False

    @property
    def requested(self) -> bool:
        """Whether the job has been told to stop; asking makes the job one that stops by itself."""
        self._asked = True
        return self._signum is not None

    @property
    def signum(self) -> int:
        """The signal that asked for the stop, 0 while none has."""
        return self._signum or 0

    def install(self) -> None:
        """Take the signals over; only the main thread may.

        The wakeup file descriptor is written to by the C handler at once, even while the main thread is in a long
        call of compiled code and Python's own handler has to wait.
        """
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._handle)
        threading.Thread(target=self._watch, args=(reader,), name="stop-notice", daemon=True).start()

    def finish(self) -> None:
        """From here on the job is only putting its model in place, which no signal interrupts."""
        self._finishing = True

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        again = self._signum is not None
        self._signum = signum
        if self._finishing:
            return
        if self._asked and not again:
            log.info("%s: stopping after the current step", signal.Signals(signum).name)
            return
        if self._raised:
            # What the first one undoes may be compiled code's with threads at work: pandas crashes where a second one
            # breaks off its waiting for them.
            log.warning("%s again: the job ends at once", signal.Signals(signum).name)
            os._exit(128 + signum)
        self._raised = True
        raise Stopped(signum)

    def _watch(self, reader: int) -> None:
        watched = {signal.SIGTERM, signal.SIGINT}
        signum = 0
        while signum not in watched:
            signum = os.read(reader, 1)[0]
        time.sleep(IMPATIENCE)
        if self._asked or self._finishing:
            time.sleep(PATIENCE - IMPATIENCE)
        if self._finishing:
            return
        log.error("the job did not stop in time after %s; it ends without a model", signal.Signals(signum).name)
        os._exit(128 + signum)
