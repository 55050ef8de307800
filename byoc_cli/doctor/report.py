"""What was found: a table to read, JSON to process, an exit code to act on."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from byoc_cli.doctor.check import GROUPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from byoc_cli.doctor.check import Check

WIDTH = 118
COLOURS = {"passed": "green", "ERROR": "red", "warning": "yellow", "not offered": "cyan"}


@dataclass(frozen=True)
class Result:
    """How a check ended.

    Attributes:
        check: the check.
        status: `passed`, `failed` or `not offered`.
        seen: what the image did, or why the check is not for it.
        seconds: how long that took.
    """

    check: Check
    status: str
    seen: str
    seconds: float

    @property
    def word(self) -> str:
        """The status as the table has it: what fails an obligation is an error, else a warning."""
        if self.status != "failed":
            return self.status
        return "ERROR" if self.check.level == "M" else "warning"

    def then(self, second: Result) -> Result:
        """Return what a second look has found, and what this one had, where that is not the same."""
        differs = "" if second.status == self.status else f"; at a first look: {self.seen}"
        return replace(second, seen=f"{second.seen}{differs}", seconds=self.seconds + second.seconds)


def as_json(results: Sequence[Result]) -> str:
    """Return the results as a JSON list, an object a check."""
    items = [
        {
            "id": result.check.number,
            "group": result.check.group,
            "level": result.check.level,
            "status": result.status,
            "expected": result.check.expected,
            "seen": result.seen,
            "advice": result.check.advice if result.status == "failed" else "",
            "seconds": round(result.seconds, 2),
        }
        for result in results
    ]
    return json.dumps(items, indent=2, ensure_ascii=False) + "\n"


def table(results: Sequence[Result]) -> str:
    """Return the results by group, with what is expected and what to change where a check failed."""
    lines = []
    for group in GROUPS:
        members = [result for result in results if result.check.group == group]
        if members:
            lines += ["", click.style(group, bold=True), *(line for result in members for line in rows(result))]
    return "\n".join(lines)


def rows(result: Result) -> list[str]:
    """Return a check's lines of the table."""
    mark = click.style(f"{result.word:<11}", fg=COLOURS[result.word])
    lines = [f"  {result.check.number:>3}  {mark}  {result.check.done}"]
    details = {"seen": result.seen}
    if result.status == "failed":
        details = {"expected": result.check.expected, "seen": result.seen, "change": result.check.advice}
    for name, text in details.items():
        indent = " " * 32
        wrapped = textwrap.wrap(" ".join(text.split()), WIDTH, initial_indent=indent, subsequent_indent=indent)
        lines += [f"{'':20}{name:<12}{wrapped[0].lstrip()}", *wrapped[1:]]
    return lines


def summary(results: Sequence[Result], seconds: float) -> str:
    """Return the numbers in a line."""
    words = [result.word for result in results]
    names = {"passed": "passed", "ERROR": "errors", "warning": "warnings", "not offered": "not offered"}
    counts = ", ".join(f"{words.count(word)} {name}" for word, name in names.items())
    return f"{len(results)} checks in {seconds:.0f} s: {counts}"


def exit_code(results: Sequence[Result]) -> int:
    """Return 0 without errors, else 1; warnings are not errors."""
    return int(any(result.word == "ERROR" for result in results))
