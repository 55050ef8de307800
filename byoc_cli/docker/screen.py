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
    """

    def __init__(self) -> None:
        self.begin = self.news = time.monotonic()
        self._lock = threading.Lock()
        self._terminal = sys.stdout.isatty()
        self._state = ""

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.begin

    def line(self, text: str) -> None:
        """Print a line."""
        with self._lock:
            self._clear()
            click.echo(text)
            self._draw()

    def state(self, text: str) -> None:
        """Show how it is going; "" shows nothing any more."""
        with self._lock:
            self._clear()
            self._state = f"[{self.seconds:5.1f} s] {text}"[:WIDTH] if text else ""
            self._draw()
            if text and not self._terminal and time.monotonic() - self.news >= NEWS_SECONDS:
                self.news = time.monotonic()
                click.echo(self._state)

    def _clear(self) -> None:
        if self._terminal and self._state:
            click.echo("\r\033[K", nl=False)

    def _draw(self) -> None:
        if self._terminal and self._state:
            click.echo(self._state, nl=False)
