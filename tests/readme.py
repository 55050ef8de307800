"""Reads README.md, CONTRIBUTING.md and benchmarks/README.md into the pieces that tests check: code blocks, tables, code within sentences."""

from __future__ import annotations

import re
from functools import cached_property

from tests.program import ROOT

BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"^\|.+\|\n\| --- .+\|\n(?:\|.+\|\n)*", re.MULTILINE)
SPAN = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")


class Document:
    """A Markdown file of the repository."""

    def __init__(self, name: str) -> None:
        self.text = (ROOT / name).read_text()

    @cached_property
    def blocks(self) -> list[str]:
        """The code of every fenced block."""
        return [match["code"] for match in BLOCK.finditer(self.text)]

    @cached_property
    def tables(self) -> list[list[list[str]]]:
        """The cells of every table, row by row, its header first."""
        found = [match.group().splitlines() for match in TABLE.finditer(self.text)]
        return [[cells(line) for line in (header, *rows)] for header, _, *rows in found]

    @cached_property
    def spans(self) -> list[str]:
        """The code within sentences and tables."""
        return [" ".join(span.split()) for span in SPAN.findall(BLOCK.sub("", self.text))]

    @cached_property
    def links(self) -> list[str]:
        """Where its links and pictures point."""
        return LINK.findall(BLOCK.sub("", self.text))

    @property
    def code(self) -> str:
        """All code: that of the blocks and that within sentences, a line each."""
        return "\n".join([*self.blocks, *self.spans])

    def block(self, start: str) -> str:
        """Return the one block that starts so."""
        (found,) = [code for code in self.blocks if code.startswith(start)]
        return found

    def table(self, corner: str) -> list[list[str]]:
        """Return the rows of the one table whose first column is called so, without its header."""
        (found,) = [rows for header, *rows in self.tables if header[0] == corner]
        return found


def cells(line: str) -> list[str]:
    """Split a table's line."""
    return [cell.strip() for cell in line.strip("|").split("|")]


def codes(cell: str) -> list[str]:
    """Return the code within a cell."""
    return SPAN.findall(cell)


def expanded(cell: str) -> list[int]:
    """Return the numbers that a cell like `1-3, 7` stands for."""
    found = []
    for word in cell.split(", "):
        first, _, last = word.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def shown(block: str) -> list[str]:
    """Return what a console block shows below its command."""
    command, *lines = block.splitlines()
    assert command.startswith("$ ")
    return lines


def pattern(lines: list[str]) -> str:
    """Return the regular expression of an output of which `...` and `…` leave something out."""
    return "".join("(?:.*\n)*?" if line == "..." else re.escape(line).replace("…", ".+?") + "\n" for line in lines)


README = Document("README.md")
CONTRIBUTING = Document("CONTRIBUTING.md")
BENCHMARKS = Document("benchmarks/README.md")
