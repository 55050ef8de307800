"""PID 1 of a serving container: starts nginx and gunicorn, watches both, and ends them in the right order.

Signals are only queued by their handlers, and one loop deals with them. The container ends when it is told to, when
nginx or gunicorn's master ends, and when workers crash again and again; only the first of these is exit code 0.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import shutil
import signal
import socket
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from byoc.errors import UserError
from byoc.serving import health, nginx, runtime
from byoc.serving.board import Board
from byoc.serving.settings import NOTICE

if TYPE_CHECKING:
    import threading
    from types import FrameType

    from byoc.serving.settings import Settings

log = logging.getLogger("byoc.serve")

PROGRAM = Path(__file__).parents[2]
STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
IGNORED = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
# Seconds between two looks at the notice board.
TICK = 0.5
# Seconds of the platform's notice that are left to the kernel.
RESERVE = 2.0
# Boots that may fail before any worker was ready: a model that kills its worker while loading will do so again.
FAILED_BOOTS = 3
# Deaths of workers within WINDOW seconds, for each worker, that are crashes and no longer accidents.
DEATHS_PER_WORKER = 4
WINDOW = 60.0


class Supervisor:
    """Runs one server until its end."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder = Path(tempfile.mkdtemp(prefix="byoc-"))
        # nginx's worker, which is nobody, has to reach the sockets.
        self.folder.chmod(0o711)
        self.board = Board.create(self.folder / "board", settings.workers)
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._children: dict[int, str] = {}
        self._nginx_log: threading.Thread | None = None
        self._started = time.monotonic()
        self._deaths: list[tuple[float, int]] = []
        self._announced = False
        self._stopping = False

    def run(self) -> int:
        """Serve until the end; return the exit code."""
        for signum in (*STOP, *IGNORED, signal.SIGCHLD):
            signal.signal(signum, self._queue)
        try:
            self._start()
            reason = self._watch()
            return self._stop() if reason is None else self._abort(reason)
        except UserError as error:
            return self._abort(str(error))
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _queue(self, signum: int, _frame: FrameType | None) -> None:
        self._signals.put(signum)

    def _start(self) -> None:
        """Start the health check, gunicorn and nginx: the port is open before the model is loaded."""
        settings = self.settings
        log.info("serving", extra=asdict(settings))
        _check_port(settings.port)
        # What loads the model takes longest, so it goes first; until its sockets are there nginx answers 503.
        if settings.multi_model:
            self._spawn("manager", [sys.executable, "-m", "byoc.serving.models"])
        else:
            gunicorn = ["gunicorn", "-c", str(PROGRAM / "gunicorn.conf.py"), "wsgi:app"]
            self._spawn("gunicorn", [sys.executable, "-m", *gunicorn])
        health.answer_in_background(self.folder / "health.sock", self._reason_not_ready)
        if settings.use_nginx:
            self._start_nginx()

    def _start_nginx(self) -> None:
        reader, writer = os.pipe()
        self._nginx_log = nginx.pass_log_on(reader, self.folder)
        try:
            self._spawn("nginx", nginx.command(nginx.configure(self.settings, self.folder)), writer)
        finally:
            os.close(writer)

    def _spawn(self, name: str, command: list[str], stderr: int = 2) -> None:
        """Start a child in a process group of its own: a Ctrl-C on the terminal is for us to order.

        Outside a container, where we are not PID 1, setpriv has the kernel end the child should we be killed.
        """
        if shutil.which("setpriv"):
            command = ["setpriv", "--pdeathsig", "TERM", *command]
        pid = os.posix_spawnp(
            command[0],
            command,
            _child_environ(self.settings, self.folder),
            file_actions=[(os.POSIX_SPAWN_DUP2, stderr, 2)],
            setpgroup=0,
            setsigmask=[],
            setsigdef=[*STOP, *IGNORED, signal.SIGPIPE],
        )
        self._children[pid] = name

    def _watch(self) -> str | None:
        """Wait for the end; return its reason, None where it was asked for."""
        while True:
            signum = self._next_signal(TICK)
            if signum in STOP:
                log.info("%s: stopping", signal.Signals(signum).name)
                return None
            for name, status in self._reap():
                return runtime.reason(self.folder) or f"{name} {_describe(status)}"
            crashes = self._crashes()
            if crashes:
                return crashes

    def _next_signal(self, seconds: float) -> int | None:
        try:
            return self._signals.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None

    def _reap(self) -> list[tuple[str, int]]:
        """Return the children that ended, with their wait status; orphans that we inherit as PID 1 are reaped too."""
        ended: list[tuple[str, int]] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return ended
            if pid == 0:
                return ended
            if pid in self._children:
                name = self._children.pop(pid)
                _kill_group(pid)
                ended.append((name, status))

    def _crashes(self) -> str:
        """Return why the workers' deaths are too many, "" while they are not."""
        failed, died, ever_ready = self.board.counts()
        now = time.monotonic()
        if ever_ready and not self._announced:
            self._announced = True
            log.info("ready after %.1f s on port %d", now - self._started, self.settings.port)
        if not ever_ready and failed > FAILED_BOOTS:
            return f"{failed} workers died while they loaded the model; if it was SIGKILL, memory ran out"
        if not ever_ready and now - self._started > self.settings.startup_timeout:
            return f"no worker was ready within {self.settings.startup_timeout} s (SAGEMAKER_STARTUP_TIMEOUT)"
        deaths = failed + died
        self._deaths = [(then, count) for then, count in self._deaths if now - then < WINDOW] or [(now, deaths)]
        if self._deaths[-1][1] != deaths:
            self._deaths.append((now, deaths))
        recent = deaths - self._deaths[0][1]
        if recent > DEATHS_PER_WORKER * self.settings.workers:
            return f"workers died {recent} times within {WINDOW:.0f} s"
        return ""

    def _reason_not_ready(self) -> str:
        if self._stopping:
            return "shutting down"
        return health.explain(self.board, self.settings.deadline, self.settings.most_failures)

    def _stop(self) -> int:
        """End in order: nginx finishes the requests in flight, then gunicorn has nothing left to do.

        The order matters: gunicorn told first would close the socket under nginx's waiting requests.
        """
        self._stopping = True
        runtime.tell_stopping(self.folder)
        began = time.monotonic()
        drained = self._end("nginx", signal.SIGQUIT, began + self.settings.drain)
        if not drained:
            log.error("requests were still running after %.0f s and are cut", self.settings.drain)
        server = "manager" if self.settings.multi_model else "gunicorn"
        clean = self._end(server, signal.SIGTERM, began + NOTICE - RESERVE) and drained
        self._kill_all()
        log.info("stopped in %.1f s", time.monotonic() - began)
        return 0 if clean else 1

    def _abort(self, reason: str) -> int:
        """End at once, with the reason as the last line of the log."""
        self._stopping = True
        for name in ("nginx", "gunicorn", "manager"):
            self._end(name, signal.SIGTERM, time.monotonic() + 1.0)
        self._kill_all()
        log.error("stopped: %s", reason)
        return 1

    def _end(self, name: str, signum: int, deadline: float) -> bool:
        """Signal a child and wait for its end; return whether it came before the deadline."""
        for pid, child in self._children.items():
            if child == name:
                os.kill(pid, signum)
        self._reap()
        while name in self._children.values() and time.monotonic() < deadline:
            self._next_signal(min(TICK, deadline - time.monotonic()))
            self._reap()
        return name not in self._children.values()

    def _kill_all(self) -> None:
        for pid in tuple(self._children):
            _kill_group(pid)
        while self._children:
            self._next_signal(TICK)
            self._reap()
        # What nginx wrote last comes before our own last line.
        if self._nginx_log:
            self._nginx_log.join(TICK)


def _child_environ(settings: Settings, folder: Path) -> dict[str, str]:
    threads = str(settings.threads)
    return {
        # Each worker computes with its share of the CPUs; more threads than CPUs cost most of the speed.
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        # Threads that wait by spinning keep each other from the CPUs where there are more threads than CPUs.
        "OMP_WAIT_POLICY": "PASSIVE",
        **os.environ,
        "OMP_NUM_THREADS": threads,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(PROGRAM), os.environ.get("PYTHONPATH", "")])),
        "SAGEMAKER_USE_NGINX": str(settings.use_nginx).lower(),
        runtime.VARIABLE: str(folder),
    }


def _check_port(port: int) -> None:
    """Refuse to start where the port cannot be had.

    Raises:
        UserError: it is taken, or not ours to take.

    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - where SageMaker's requests arrive
        except OSError as error:
            raise UserError(
                f"port {port} cannot be used: {error.strerror}. Stop what uses it, or set SAGEMAKER_BIND_TO_PORT"
            ) from error


def _kill_group(pid: int) -> None:
    """Kill what a child has left of its process group: nothing outlives it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _describe(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended with exit code {code}"
    hint = " (out of memory?)" if -code == signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-code).name}{hint}"
