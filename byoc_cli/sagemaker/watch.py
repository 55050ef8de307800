"""Waiting for a job or an endpoint: how it goes, what it writes, and how to leave it alone."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from byoc_cli.docker.screen import Screen
from byoc_cli.sagemaker.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from byoc_cli.sagemaker.cloud import Answer
    from byoc_cli.sagemaker.log_tail import LogTail

FIRST_SECONDS, MOST_SECONDS = 0.5, 5.0
PATIENCE_SECONDS = 300.0
INTERRUPTED = 130


@dataclass(frozen=True)
class Watch:
    """What is waited for.

    Attributes:
        what: it is, with its name.
        describe: asks how it is.
        is_over: whether that is how it ends.
        state: how it is, in a line.
        tail: its log; its lines are shown where `follows`.
        follows: see above.
        news: yields lines about what has changed since the last time, such as metrics.
        to_stop: the command that stops it; "" where there is none.
    """

    what: str
    describe: Callable[[], Answer]
    is_over: Callable[[Answer], bool]
    state: Callable[[Answer], str]
    tail: LogTail | None = None
    follows: bool = False
    news: Callable[[Answer], Iterable[str]] = field(default=lambda _answer: ())
    to_stop: str = ""

    def until_over(self) -> Answer:
        """Wait, showing how it goes on stderr; return how it ended.

        Raises:
            click.exceptions.Exit: Ctrl-C was pressed; then it goes on.
        """
        screen = Screen(err=True)
        shown = ""
        try:
            while True:
                answer = self._answer(screen)
                over = self.is_over(answer)
                self._show_news(screen, answer)
                state = self.state(answer)
                if state != shown and not screen.is_terminal:
                    screen.line(f"[{screen.seconds:5.1f} s] {state}")
                shown = state
                screen.state("" if over else f"{self.what}: {state}")
                if over:
                    return answer
                time.sleep(min(MOST_SECONDS, FIRST_SECONDS + screen.seconds / 20))
        except KeyboardInterrupt:
            screen.state("")
            stop = f"; to stop it: {self.to_stop}" if self.to_stop else ""
            click.echo(f"\n{self.what} goes on without you{stop}", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None

    def _answer(self, screen: Screen) -> Answer:
        """Ask how it is; where nothing answers, such as after a laptop's sleep, for some minutes again and again.

        Raises:
            click.ClickException: nothing answers at all, or what does refuses.
        """
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self.describe()
            except click.ClickException as error:
                if isinstance(error, Refused) or time.monotonic() > end:
                    screen.state("")
                    raise click.ClickException(f"{error.message}\n{self.what} may well go on without you") from error
                screen.state(f"{error.message}; trying again")
                time.sleep(MOST_SECONDS)

    def _show_news(self, screen: Screen, answer: Answer) -> None:
        if self.follows and self.tail is not None:
            for line in self.tail.new_lines():
                screen.line(f"  {line}")
        for line in self.news(answer):
            screen.line(line)


def failure(
    what: str, reason: str, tail: LogTail | None, *, advice: Sequence[str] = (), shown: bool = False
) -> tuple[str, list[str]]:
    """Return a message on something that failed, and the last lines of its log.

    Args:
        what: failed, as a sentence's beginning.
        reason: AWS's FailureReason.
        tail: the log; None where there is none.
        advice: what to do next, a line each.
        shown: whether the log's lines have been shown already.
    """
    last = tail.last_lines() if tail else []
    lines = [f"{what}: {reason or 'SageMaker gives no reason'}"]
    if last and not shown:
        lines += ["The last lines of its log:", *(f"  {line}" for line in last)]
    if tail and tail.problem:
        lines.append(tail.problem)
    return "\n".join([*lines, *advice]), last


def outcome(status: str) -> str:
    """Return a status that nobody wished for, as a verb."""
    return {"Failed": "failed", "Stopped": "was stopped"}.get(status, f"is {status}")


def over_when(member: str, going: Iterable[str]) -> Callable[[Answer], bool]:
    """Return whether a status is none of those that pass."""
    passing = frozenset(going)
    return lambda answer: str(answer[member]) not in passing
