"""Leave this alone: gunicorn's settings and hooks, derived from the same settings as all else."""

from __future__ import annotations

import atexit
import gc
import logging
import os
import sys
from typing import TYPE_CHECKING

from byoc import logs
from byoc.serving import access, runtime
from byoc.serving.settings import Settings
from byoc.serving.worker import Worker

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter

# Nothing that is imported or loaded becomes garbage; the workers switch it on again.
gc.disable()

settings = Settings.from_environ(os.environ)
folder = runtime.folder()

# A socket for each worker: nginx knows which of them has the fewest requests, the kernel does not.
listeners = [f"unix:{runtime.listener(folder, number)}" for number in range(settings.workers)]
bind = listeners if settings.use_nginx else f"0.0.0.0:{settings.port}"
worker_class = Worker
workers = settings.workers
worker_connections = 1000
backlog = 2048
timeout = settings.gunicorn_timeout
# nginx has drained by the time gunicorn is told to stop; without nginx gunicorn drains by itself.
graceful_timeout = 2 if settings.use_nginx else int(settings.drain)
# Longer than nginx keeps its connections, so that none is closed under a request; short where clients keep them, since
# gunicorn's end waits for them.
keepalive = 90 if settings.use_nginx else 2
# Loaded before the fork, so that workers share the model's memory.
preload_app = True
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else str(folder)  # noqa: S108
control_socket_disable = True
proc_name = "byoc"
logconfig_dict = logs.configuration(settings.log_level)
# gunicorn tells of every start and stop at INFO; the supervisor says what matters of it.
logconfig_dict["loggers"]["gunicorn.error"] = {"level": "WARNING"}

board = runtime.board()


def pre_fork(server: Arbiter, worker: Worker) -> None:
    """Give the worker its place on the notice board, and with it its socket."""
    worker.board, worker.slot, worker.listeners = board, board.take_slot(), len(server.LISTENERS)


def post_worker_init(worker: Worker) -> None:
    """Load what could not be shared, and show readiness."""
    runtime.load_or_end(worker.begin)
    gc.enable()


def worker_exit(_server: object, worker: Worker) -> None:
    """Note, in the worker, that it ends in order, and end it.

    The ordinary way out would go through the destructors of C++ libraries that were loaded before the fork. Some wait
    there for threads that exist in the master alone, ONNX Runtime's for ever.
    """
    access.flush()
    board.leave(worker.slot)
    ending = sys.exc_info()[1]
    code = ending.code if isinstance(ending, SystemExit) else 1
    atexit._run_exitfuncs()  # noqa: SLF001 - what users registered is to run all the same
    logging.shutdown()
    os._exit(code if isinstance(code, int) else int(bool(code)))


def child_exit(server: Arbiter, worker: Worker) -> None:
    """Close the ended worker's door and count it, in the master, unless it was asked to end."""
    worker.close_door()
    slot = board.free_slot(worker.slot)
    stopping = not server.LISTENERS
    if not (slot.left or stopping):
        board.count_death(was_ready=slot.ready)
