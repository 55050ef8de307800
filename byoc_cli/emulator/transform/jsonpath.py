"""The part of JSONPath that batch transform takes in its filters: names, indexes, one range, a wildcard.

The guide has a table of them: https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform-data-processing.html.
Where its text says that the end of a range is in it, notebooks that run on AWS show that it is not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from byoc_cli.emulator.transform.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

STEP = re.compile(r"\.?\[(?P<inside>[^\]]*)\]|\.(?P<name>\*|[A-Za-z0-9-]+)")
NAMES = re.compile(r"\s*'[^']*'\s*(,\s*'[^']*'\s*)*")
INDEX = re.compile(r"-?\d+")
RANGE = re.compile(r"(-?\d+)?:(-?\d+)?")
OPERATORS = "$[]*. ,:-'"


@dataclass(frozen=True)
class Names:
    """A step to one member of an object, or to an object of several."""

    names: tuple[str, ...]
    is_one = True

    def of(self, node: Any) -> list[Any]:
        """Return what there is; LookupError where it is not."""
        members = node if isinstance(node, dict) else {}
        found = {name: members[name] for name in self.names}
        return [found] if len(self.names) > 1 else list(found.values())


@dataclass(frozen=True)
class Items:
    """A step to items of a list: each an index, or the start and the end of a range."""

    items: tuple[int | slice, ...]

    @property
    def is_one(self) -> bool:
        """Whether it leads to one item."""
        return len(self.items) == 1 and isinstance(self.items[0], int)

    def of(self, node: Any) -> list[Any]:
        """Return what there is; LookupError where it is not."""
        values = node if isinstance(node, list) else []
        found = [values[item] if isinstance(item, slice) else [values[item]] for item in self.items]
        return [each for part in found for each in part]


@dataclass(frozen=True)
class Every:
    """A step to all there is in an object or a list."""

    is_one = False

    def of(self, node: Any) -> list[Any]:
        """Return it all."""
        return list(node.values()) if isinstance(node, dict) else list(node) if isinstance(node, list) else []


@dataclass(frozen=True)
class Path:
    """An expression, ready to be used.

    Attributes:
        text: as it was given.
        steps: of it.
    """

    text: str
    steps: Sequence[Names | Items | Every]

    @property
    def is_all(self) -> bool:
        """Whether it selects all, whatever that is."""
        return not self.steps

    @property
    def fits_rows(self) -> bool:
        """Whether it can be used on the rows of a table, which have no names: on lists of values."""
        return self.is_all or (len(self.steps) == 1 and not isinstance(self.steps[0], Names))

    def select(self, value: Any) -> Any:
        """Return what the expression selects: one value, or a list where it may lead to several.

        Raises:
            DataError: the value has no such member or item.
        """
        nodes, is_one = [value], True
        for step in self.steps:
            try:
                nodes = [found for node in nodes for found in step.of(node)]
            except LookupError as error:
                raise DataError(f"{self.text} selects what is not there") from error
            is_one = is_one and step.is_one
        return nodes[0] if is_one else nodes


def parse(text: str) -> Path:
    """Read an expression.

    Raises:
        ValueError: it is none, or one that batch transform does not take; the message says which part.
    """
    for character in text:
        if not (character.isascii() and character.isalnum()) and character not in OPERATORS:
            # AWS's own words; it is known for refusing even names with an underscore.
            raise ValueError(f'Unexpected "{character}" in JsonPath. Supported operators are {list(OPERATORS)}')
    if not text.startswith("$"):
        raise ValueError("a JsonPath begins with $")
    steps: list[Names | Items | Every] = []
    at = 1
    while at < len(text):
        found = STEP.match(text, at)
        if found is None:
            raise ValueError(f"{text[at:]!r} is no step of a JsonPath")
        name, inside = found.group("name"), found.group("inside")
        steps.append(_bracket(inside) if inside is not None else Every() if name == "*" else Names((name,)))
        at = found.end()
    if any(isinstance(step, Names) and len(step.names) > 1 for step in steps[:-1]):
        raise ValueError("several names can only be the last step")
    return Path(text, steps)


def _bracket(inside: str) -> Names | Items | Every:
    """Return the step that is written in brackets."""
    if inside.strip() == "*":
        return Every()
    if NAMES.fullmatch(inside):
        return Names(tuple(re.findall("'([^']*)'", inside)))
    items = tuple(_item(each.strip()) for each in inside.split(","))
    if sum(isinstance(item, slice) for item in items) > 1:
        raise ValueError(
            f"only single range filters of format (eg: [1:5]) are supported. Format [{inside}] is not supported"
        )
    return Items(items)


def _item(text: str) -> int | slice:
    if INDEX.fullmatch(text):
        return int(text)
    if found := RANGE.fullmatch(text):
        start, end = (None if each is None else int(each) for each in found.groups())
        return slice(start, end)
    raise ValueError(f"[{text}] is neither 'name' nor index nor range")
