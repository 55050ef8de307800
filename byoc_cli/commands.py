"""Running other programs, or only printing them (`--dry-run`)."""

import os
import shlex
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import click

TAIL_LINES = 10
REMEMBERED_LINES = 500
QUIET_LINES = 50


def output_of(command: Sequence[str]) -> str | None:
    """Return the command's standard output, stripped; None where it fails or doesn't exist."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def every_line(_number: int, line: str) -> None:
    """Show a command's line."""
    click.echo(line)


def latest_line(_number: int, line: str) -> None:
    """Show a command's line in the place of the one before."""
    click.echo(f"\r\033[K  {line[:100]}", nl=False)


def now_and_then(number: int, line: str) -> None:
    """Show one of many lines."""
    if number % QUIET_LINES == 0:
        click.echo(f"  {line}")


@dataclass(frozen=True)
class Runner:
    """Runs commands, each a list of arguments: no shell ever reads a user's text."""

    dry_run: bool = False

    def show(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Print the command as one would type it."""
        click.echo(shlex.join([*(f"{name}={value}" for name, value in (env or {}).items()), *command]))

    def run(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Run the command, its output in sight.

        Raises:
            click.ClickException: it ended with another code than 0.
        """
        if self.dry_run:
            self.show(command, env)
            return
        code = subprocess.run(command, env={**os.environ, **(env or {})}, check=False).returncode
        if code:
            raise click.ClickException(f"{shlex.join(command)} ended with exit code {code}")

    def follow(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        *,
        whole: bool = False,
        explain: Callable[[Sequence[str]], str] | None = None,
    ) -> None:
        """Run a talkative command, showing that it goes on: the latest line on a terminal, else now and then one.

        Args:
            command: the program and its arguments.
            env: variables it needs besides our own.
            whole: show every line.
            explain: makes the error's message from the last lines; by default it is those.

        Raises:
            click.ClickException: it ended with another code than 0.
        """
        if self.dry_run:
            self.show(command, env)
            return
        show = every_line if whole else latest_line if sys.stdout.isatty() else now_and_then
        tail: deque[str] = deque(maxlen=REMEMBERED_LINES)
        with subprocess.Popen(
            command,
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for number, line in enumerate(process.stdout):
                tail.append(line.rstrip())
                show(number, tail[-1])
        if show is latest_line:
            click.echo("\r\033[K", nl=False)
        if not process.returncode:
            return
        if explain is None:
            raise click.ClickException("\n  ".join([f"{shlex.join(command)} failed:", *list(tail)[-TAIL_LINES:]]))
        raise click.ClickException(explain(tail))

    def pipe(self, source: Sequence[str], target: Sequence[str]) -> None:
        """Run `source | target`.

        Raises:
            click.ClickException: either ended with another code than 0.
        """
        if self.dry_run:
            click.echo(f"{shlex.join(source)} | {shlex.join(target)}")
            return
        with subprocess.Popen(source, stdout=subprocess.PIPE) as first:
            code = subprocess.run(target, stdin=first.stdout, check=False).returncode
        for command, returned in ((source, first.returncode), (target, code)):
            if returned:
                raise click.ClickException(f"{shlex.join(command)} ended with exit code {returned}")
