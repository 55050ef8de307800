"""One model: its process, started anew whenever it ends without being told to."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from typing import TYPE_CHECKING

from byoc.serving import runtime
from byoc.serving.errors import RequestError
from byoc.serving.models.admission import no_memory
from byoc.serving.models.fork import Fork

if TYPE_CHECKING:
    from pathlib import Path

    from byoc.serving.settings import Settings

log = logging.getLogger(__name__)

# Seconds before a process is started anew, at most; doubled with every one that lived no longer than that.
LONGEST_PAUSE = 60.0
# Seconds after a process's end in which a request that got no answer was most likely ended by it.
RECENT = 3.0
# Seconds until the end of a process is known to the manager.
NEWS = 1.0


class Model:
    """A model and its process.

    Args:
        settings: of the server.
        folder: of the server's sockets.
        name: the model's.
        url: its files' place, as the request named it.
        files: its files' place, as it was found.

    """

    def __init__(self, settings: Settings, folder: Path, name: str, url: str, files: Path) -> None:
        self.name = name
        self.url = url
        self._settings = settings
        self._files = files
        self._door = runtime.model(folder, name)
        self._fork: Fork | None = None
        self._keeper: threading.Thread | None = None
        self._leaving = threading.Event()
        self._changed = threading.Condition()
        self._serves = False
        self._ended = -math.inf
        self._exit_code: int | None = None
        self._pause = 0.0

    def load(self) -> None:
        """Start the process; return when it serves.

        Raises:
            RequestError: it cannot be loaded; nothing is left of it.

        """
        self._start()
        self._keeper = threading.Thread(target=self._keep, name=f"model {self.name}", daemon=True)
        self._keeper.start()

    def unload(self, seconds: float) -> None:
        """End the process, which has some seconds to answer what has come; return when it is gone."""
        self._leaving.set()
        self._door.unlink(missing_ok=True)
        if self._fork is not None:
            self._fork.end(seconds)
        if self._keeper is not None:
            self._keeper.join()

    def explain(self) -> RequestError:
        """Return why a request got no answer."""
        with self._changed:
            ended = self._changed.wait_for(lambda: not self._serves or time.monotonic() - self._ended < RECENT, NEWS)
            if ended and self._exit_code == -signal.SIGKILL:
                return no_memory("the model's process was killed: memory ran out; it is started anew")
            # Also of a request that came before the model was there, and is explained after.
            retry = max(1, round(self._pause))
            return RequestError(503, "not_ready", "the model's process is only starting", retry_after=retry)

    def _start(self) -> None:
        """Start a process and wait until it serves.

        Raises:
            RequestError: it does not; it is gone.

        """
        began = time.monotonic()
        seconds = self._settings.startup_timeout
        try:
            fork = self._fork = Fork("main", self._settings, self.name, self._files, self._door)
        except (EOFError, OSError) as error:
            raise RequestError(500, "model_failed", f"no process can be started for the model: {error}") from error
        try:
            problem = fork.report(seconds)
        except TimeoutError:
            fork.end(0)
            raise RequestError(
                504, "load_timeout", f"the model was not loaded within {seconds} s (SAGEMAKER_STARTUP_TIMEOUT)"
            ) from None
        except EOFError:
            raise _end_while_loading(fork) from None
        if problem is not None:
            fork.has_ended()
            raise RequestError(*problem)
        with self._changed:
            self._serves = True
        log.info("model %s loaded in %.2f s", self.name, time.monotonic() - began)

    def _keep(self) -> None:
        """Start the process anew whenever it ends, until the model is to leave."""
        assert self._fork is not None
        while True:
            born = time.monotonic()
            self._fork.has_ended()
            if self._leaving.is_set():
                return
            self._note_end(time.monotonic() - born)
            while not self._leaving.wait(self._pause):
                try:
                    self._start()
                    break
                except RequestError as error:
                    log.error("model %s cannot be started anew: %s", self.name, error.message)  # noqa: TRY400 - no defect
                    self._lengthen_pause()
            if self._leaving.is_set():
                self._fork.end(0)
                return

    def _note_end(self, lived: float) -> None:
        assert self._fork is not None
        code = self._fork.exit_code
        if lived > LONGEST_PAUSE:
            self._pause = 0.0
        else:
            self._lengthen_pause()
        log.error("the process of model %s ended with %s; it is started anew in %.0f s", self.name, code, self._pause)
        with self._changed:
            self._serves, self._ended, self._exit_code = False, time.monotonic(), code
            self._changed.notify_all()

    def _lengthen_pause(self) -> None:
        self._pause = min(LONGEST_PAUSE, 2 * self._pause or 1.0)


def _end_while_loading(fork: Fork) -> RequestError:
    fork.has_ended()
    if fork.exit_code == -signal.SIGKILL:
        return no_memory("the process that loaded the model was killed: memory ran out")
    return RequestError(500, "model_failed", f"the process that loaded the model ended with {fork.exit_code}")
