"""Shows on standard error which checks run, and how each ended."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from byoc_cli.doctor.check import Check
    from byoc_cli.doctor.report import Result

WIDTH = 110


class Progress:
    """A line a result; on a terminal one line only, that of the checks that run."""

    def __init__(self) -> None:
        self.count = 0
        self.ended: set[Check] = set()
        self.running: list[Check] = []
        self.lock = threading.Lock()

    def expect(self, checks: Sequence[Check]) -> None:
        """Say what is going to be run."""
        self.count = len(checks)

    def begin(self, check: Check) -> None:
        """Show a check that begins."""
        with self.lock:
            self.running.append(check)
            self._show()

    def end(self, result: Result) -> None:
        """Show a check that has ended."""
        check = result.check
        with self.lock:
            self.running.remove(check)
            self.ended.add(check)
            if not sys.stderr.isatty():
                text = f"[{len(self.ended):>3}/{self.count}] {check.number:>3} {check.group}: {check.done}"
                click.echo(f"{text}: {result.word} ({result.seconds:.1f} s)", err=True)
            self._show()

    def _show(self) -> None:
        if sys.stderr.isatty():
            text = ""
            if self.running:
                numbers = ", ".join(str(check.number) for check in self.running)
                text = f"[{len(self.ended):>3}/{self.count}] {numbers}: {self.running[0].done}"[:WIDTH]
            click.echo(f"\r\033[K{text}", nl=False, err=True)
