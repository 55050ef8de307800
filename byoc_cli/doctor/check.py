"""What a check is: a function with a number, and how it says what it saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoc_cli.doctor.subject import Subject

    Function = Callable[[Subject], str]

Level = Literal["M", "S"]

# The groups of the checklist, and the numbers of their checks.
GROUPS = {
    "training": range(1, 28),
    "failure": range(28, 36),
    "signals": range(36, 44),
    "hosting": range(44, 66),
    "errors": range(66, 75),
    "batch": range(75, 86),
    "multimodel": range(86, 95),
    "streaming": range(95, 99),
    "pipelines": range(99, 102),
    "security": range(102, 109),
}


class Failed(Exception):  # noqa: N818 - it is a finding, not an error of ours
    """The image did not do what was expected; the text says what was seen."""


@dataclass(frozen=True)
class Check:
    """A check, before it is run.

    Attributes:
        number: its number on the checklist.
        level: M is an obligation that AWS documents, S a recommendation.
        done: what is done with the image.
        expected: what a good image then does.
        advice: what to change where it does not.
        alone: whether no other check may run beside it, because it measures times or leaves no CPU to others.
        timed: whether a slow moment of the machine may fail it: then it is looked at once more, after the others.
            Those that run alone are.
    """

    number: int
    level: Level
    done: str
    expected: str
    advice: str
    alone: bool = False
    timed: bool = False

    @property
    def group(self) -> str:
        """The group of the checklist that it belongs to."""
        return next(group for group, numbers in GROUPS.items() if self.number in numbers)


def check(
    number: int,
    level: Level,
    done: str,
    *,
    expected: str,
    advice: str,
    alone: bool = False,
    timed: bool = False,
) -> Callable[[Function], Function]:
    """Make a function a check; it returns what it saw, in a few words, or calls ``must`` and ``not_offered``.

    Checks run side by side unless they ask to be ``alone``, in threads: what they share is the subject's business.
    """

    def mark(function: Function) -> Function:
        function.check = Check(number, level, done, expected, advice, alone, alone or timed)  # type: ignore[attr-defined]
        return function

    return mark


def must(condition: object, seen: str) -> None:
    """Fail the check unless the condition holds.

    Raises:
        Failed: it doesn't.
    """
    if not condition:
        raise Failed(seen)


def not_offered(reason: str) -> NoReturn:
    """End the check: the image makes no claim to what it is about."""
    pytest.skip(reason)
