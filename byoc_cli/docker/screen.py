"""Lines of a log above, how it is going below: what waits says so without being in the log's way."""

import sys
import threading
import time

import click

NEWS_SECONDS = 5.0
WIDTH = 110


class Screen:
    """What is printed by several threads, a line at a time.

    On a terminal the state is one line that is always the last; elsewhere a line now and then.

    Args:
        err: print on stderr, beside a result.
    """

    def __init__(self, *, err: bool = False) -> None:
        self.begin = self.news = time.monotonic()
        self._err = err
        self._lock = threading.Lock()
        self._terminal = (sys.stderr if err else sys.stdout).isatty()
        self._state = ""

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks on."""
        return self._terminal

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.begin

    def line(self, text: str) -> None:
        """Print a line."""
        with self._lock:
            self._clear()
            click.echo(text, err=self._err)
            self._draw()

    def state(self, text: str) -> None:
        """Show how it is going; "" shows nothing any more."""
        with self._lock:
            self._clear()
            self._state = f"[{self.seconds:5.1f} s] {text}"[:WIDTH] if text else ""
            self._draw()
            if text and not self._terminal and time.monotonic() - self.news >= NEWS_SECONDS:
                self.news = time.monotonic()
                click.echo(self._state, err=self._err)

    def _clear(self) -> None:
        if self._terminal and self._state:
            click.echo("\r\033[K", nl=False, err=self._err)

    def _draw(self) -> None:
        if self._terminal and self._state:
            click.echo(self._state, nl=False, err=self._err)
