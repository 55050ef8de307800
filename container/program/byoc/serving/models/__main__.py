"""The manager of many models, which the supervisor starts in gunicorn's place."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time

from byoc import logs
from byoc.env import Paths
from byoc.serving import runtime
from byoc.serving.board import BEAT, Slot
from byoc.serving.models.api import Server
from byoc.serving.models.fork import Fork
from byoc.serving.models.registry import Registry
from byoc.serving.settings import Settings


def main() -> int:
    """Serve until SIGTERM; return the exit code."""
    settings = Settings.from_environ(os.environ)
    logs.setup(settings.log_level)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    folder, board = runtime.folder(), runtime.board()
    # What multiprocessing leaves there when it is killed is removed with the folder.
    tempfile.tempdir = str(folder)
    problem = _problem(settings)
    if problem:
        runtime.tell_reason(problem)
        return runtime.CANNOT_LOAD
    runtime.model(folder, "").parent.mkdir(mode=0o711)
    registry = Registry(settings, Paths.from_environ(os.environ), folder)
    with Server(runtime.manager(folder), registry) as server:
        threading.Thread(target=server.serve_forever, name="api", daemon=True).start()
        while not stopping.wait(BEAT):
            board.write(0, Slot(os.getpid(), ready=True, beat=time.monotonic(), busy_since=0.0, failures=0))
        board.leave(0)
        server.shutdown()
    registry.close()
    return 0


def _problem(settings: Settings) -> str:
    """Return why no model can be served, as the first process of the template finds it; "" where they can."""
    try:
        problem: str = Fork("check").report(settings.startup_timeout)
    except TimeoutError:
        return f"predictor.py took longer than {settings.startup_timeout} s to import (SAGEMAKER_STARTUP_TIMEOUT)"
    except (EOFError, OSError):
        return "the process that imported predictor.py ended; it must not end the program that imports it"
    return problem


if __name__ == "__main__":
    sys.exit(main())
