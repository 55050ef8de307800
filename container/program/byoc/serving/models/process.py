"""A model's own process, forked from the template: it loads one model and answers requests on a unix socket.

nginx passes ``/models/NAME/invoke`` on to it as ``/invocations``, so that all that answers one model answers many.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import gevent
from gevent import socket
from gevent.pool import Pool
from gevent.pywsgi import LoggingLogAdapter, WSGIServer

from byoc import logs, machine
from byoc.errors import UserError
from byoc.serving import conventions
from byoc.serving.app import create_app
from byoc.serving.board import BEAT
from byoc.serving.errors import RequestError
from byoc.serving.models.admission import no_memory
from byoc.serving.service import Service

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from byoc.serving.batcher import Batcher
    from byoc.serving.settings import Settings

log = logging.getLogger(__name__)

# Whom the kernel ends first when memory runs out (oom_score_adj): a model that is being loaded, then other models, and
# never the manager, nginx or the supervisor.
LOADING, LOADED = 1000, 500
# Connections that may wait to be accepted.
BACKLOG = 2048
# Seconds in which the last of them are.
ACCEPTING = 0.02
NO_MEMORY = "Python found no memory left"


def main(settings: Settings, name: str, folder: Path, door: Path, report: Connection) -> None:
    """Load a model and serve it until SIGTERM.

    Args:
        settings: as everywhere, but for the model's folder.
        name: the model's.
        folder: its files.
        door: the socket to be made once it is loaded.
        report: is told once how loading went: None, or the status, code and message of a RequestError.

    """
    logs.setup(settings.log_level)
    _name_every_log_line(name)
    _end_me_first(LOADING)
    try:
        # A prediction that runs out of memory is answered so that the platform can make room.
        service = Service(replace(settings, model_dir=folder), conventions.load, lambda: no_memory(NO_MEMORY))
        machine.take_gpu(crc32(name.encode()))
        service.load()
        app = create_app(service)
        service.try_out()
        server = WSGIServer(_listen(door), app, spawn=Pool(), log=None, error_log=LoggingLogAdapter(log, logging.ERROR))
    except Exception as error:  # noqa: BLE001 - whatever it is, the manager is told
        told = _explain(error)
        report.send((told.status, told.code, told.message))
        return
    _end_me_first(LOADED)
    server.start()
    report.send(None)
    report.close()
    gevent.signal_handler(signal.SIGTERM, lambda: gevent.spawn(_drain, server, settings.deadline))
    _watch(service.batcher)


def check(report: Connection) -> None:
    """Tell whether the handler can be used: "" or what is wrong with it."""
    try:
        conventions.load()
    except UserError as error:
        report.send(str(error))
    else:
        report.send("")


def _listen(door: Path) -> socket.socket:
    """Return a listening socket that nginx's worker, which is nobody, may connect to."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    door.unlink(missing_ok=True)
    listener.bind(str(door))
    door.chmod(0o666)
    listener.listen(BACKLOG)
    return listener


def _watch(batcher: Batcher) -> None:
    """End this process when a prediction never returns, or when the template, which tells of our end, is gone."""
    template = os.getppid()
    while not batcher.is_stuck:
        if os.getppid() != template:
            os._exit(1)
        gevent.sleep(BEAT)
    batcher.abandon("process")
    # The thread that is stuck would keep an ordinary exit waiting.
    os._exit(1)


def _drain(server: WSGIServer, seconds: float) -> None:
    """Answer what has come, and end; the door is closed already, but some may wait behind it."""
    gevent.sleep(ACCEPTING)
    server.stop(seconds)
    os._exit(0)


def _explain(error: Exception) -> RequestError:
    if isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError):
        return no_memory(NO_MEMORY)
    if isinstance(error, UserError):
        return RequestError(400, "bad_model", str(error))
    log.error("the model could not be served", exc_info=error)
    return RequestError(500, "model_failed", f"{type(error).__name__}: {error}")


def _name_every_log_line(name: str) -> None:
    make = logging.getLogRecordFactory()

    def factory(*arguments: Any, **named: Any) -> logging.LogRecord:
        record = make(*arguments, **named)
        record.model = name
        return record

    logging.setLogRecordFactory(factory)


def _end_me_first(adjustment: int) -> None:
    # Where /proc may not be written the kernel chooses by size alone.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(adjustment), encoding="ascii")
