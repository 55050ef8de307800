"""Tables that no memory holds: their files in blocks of whole rows, each read on its own and in any order."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING

import numpy as np

from byoc.errors import DataError
from tabular import data

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import pandas as pd

    from byoc.training.channels import Channel
    from tabular.data import Layout

# Bytes of a block. It is the same everywhere, for the blocks are what a model learns from one after the other: on a
# machine of another size it becomes the same model.
SIZE = 8 << 20
# A row that does not end within so many blocks is none: a quote is not closed.
MOST = 8
BOM = b"\xef\xbb\xbf"
QUOTE, NEWLINE, RETURN = b'"\n\r'


@dataclass(frozen=True)
class Block:
    """Some whole rows of a file.

    Attributes:
        name: the file's path in its channel.
        file: the file, for messages.
        source: where the bytes are: the file, or what it was unpacked to.
        start, size: which bytes.
        line: how many lines of the file stand before it.
        index: its number within the file.
        layout: how it is written; a header row is in no block.
        host: where the file is.
        number: its number among all blocks, in the order in which they are learned from.
        row: rows of the table that stand before it, in the order of the files.

    """

    name: str
    file: Path
    source: Path
    start: int
    size: int
    line: int
    index: int
    layout: Layout
    host: str = ""
    number: int = 0
    row: int = 0

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{self.file}, from line {self.line + 1} on"


def in_order(blocks: Iterable[Block]) -> list[Block]:
    """Return the blocks numbered in the order in which they are learned from: the first of each file, then the second.

    So files that lie on several hosts are read by all of these at the same time; and the order, which a model depends
    on, does not depend on which host has which file.
    """
    ordered = sorted(blocks, key=lambda block: (block.index, block.name, block.host))
    return [replace(block, number=number) for number, block in enumerate(ordered)]


def cut(
    file: Path, channel: Channel, first: tuple[Path, Layout], scratch: Path, size: int = SIZE
) -> tuple[list[Block], str]:
    """Return the blocks of a file, and the SHA-256 of its content.

    Args:
        file: a file of the channel; one that is compressed is unpacked, for only then can it be read from anywhere.
        channel: its channel.
        first: the channel's first file and its layout, which the others share.
        scratch: a folder for what is unpacked; it is made when needed.
        size: bytes of a block, about.

    Raises:
        DataError: the file cannot be read, or does not fit the first; names file and line.

    """
    name = file.relative_to(channel.folder).as_posix()
    layout = first[1]
    if file != first[0]:
        layout = data.same_layout(file, *first, channel.parameters.get("header"))
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    source = _unpack(file, scratch / f"{digest}.csv") if file.name.endswith(".gz") else file
    body, awaited = replace(layout, has_header=False), layout.has_header
    blocks: list[Block] = []
    start = line = 0
    with source.open("rb") as stream:
        for piece in _pieces(stream, layout.delimiter, file, size):
            header = _end_of_header(piece, layout.delimiter) if awaited else 0
            awaited = awaited and not header
            line += _lines(piece[:header])
            if piece[header:].strip():
                blocks.append(Block(name, file, source, start + header, len(piece) - header, line, len(blocks), body))
            start += len(piece)
            line += _lines(piece[header:])
    if not blocks:
        raise DataError(f"{file} has a header row and no data")
    return blocks, digest


def read(block: Block, as_text: Iterable[str] = ()) -> pd.DataFrame:
    """Return a block's rows, by the rules of `tabular.data.read`.

    Args:
        block: which.
        as_text: columns that are text, spelt as in the file, whatever this block holds.

    Raises:
        DataError: it cannot be read; names file and line.

    """
    with block.source.open("rb") as stream:
        stream.seek(block.start)
        content = stream.read(block.size)

    def lines() -> IO[str]:
        return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")

    known = [name for name in as_text if name in block.layout.names]
    return data.parse(io.BytesIO(content), block.layout, known, name=block.file, lines=lines, before=block.line)


def _unpack(file: Path, place: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        with gzip.open(file) as packed, place.open("wb") as plain:
            while piece := packed.read(1 << 20):
                plain.write(piece)
    except data.UNREADABLE as error:
        raise DataError(f"{file} cannot be unpacked to {place.parent}: {error}") from error
    return place


def _pieces(stream: IO[bytes], delimiter: str, file: Path, size: int) -> Iterator[bytes]:
    """Yield the stream in pieces that end where rows do."""
    rest = stream.read(len(BOM))
    while fresh := stream.read(size):
        rest += fresh
        try:
            end = _end_of_rows(rest, delimiter)
        except csv.Error as error:
            raise DataError(f"{file} cannot be read as CSV in UTF-8: {error}") from error
        if end:
            yield rest[:end]
            rest = rest[end:]
        elif len(rest) > MOST * size:
            raise DataError(
                f"{file} cannot be read as CSV: a row has more than {MOST * size >> 20} MB; is a quote not closed?"
            )
    if rest:
        yield rest


def _end_of_rows(piece: bytes, delimiter: str) -> int:
    """Return where the last row ends that ends within the piece, 0 where none does. The piece begins with a row."""
    if b'"' not in piece:
        # What ends with "\r" may go on with "\n".
        return piece.rfind(b"\n") + 1 or piece.rfind(b"\r", 0, -1) + 1
    cells = np.frombuffer(piece, dtype=np.uint8)
    quotes = np.flatnonzero(cells == QUOTE)
    opening = quotes[::2]
    # The BOM ends with 0xBF.
    begins = np.isin(cells[opening - 1], (ord(delimiter), NEWLINE, RETURN, QUOTE, BOM[-1])) | (opening == 0)
    ends = np.flatnonzero(cells == NEWLINE)
    if not begins.all() or not len(ends):
        return _end_by_reading(piece, delimiter)
    outside = np.searchsorted(quotes, ends) % 2 == 0
    return int(ends[outside][-1]) + 1 if outside.any() else 0


def _end_by_reading(piece: bytes, delimiter: str) -> int:
    """Return the same where a quote stands within a cell, and only a reader tells what is quoted."""
    last = before = 0
    for end, _row in _rows(piece, delimiter):
        before, last = last, end
    # The last row may not be whole.
    return before


def _end_of_header(piece: bytes, delimiter: str) -> int:
    return next((end for end, row in _rows(piece, delimiter) if any(cell.strip() for cell in row)), 0)


def _rows(piece: bytes, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows, and where each ends."""
    done = len(BOM) if piece.startswith(BOM) else 0

    def lines() -> Iterator[str]:
        nonlocal done
        # With as many characters as bytes: all that matters here is ASCII.
        for line in io.StringIO(piece[done:].decode("latin-1"), newline=""):
            done += len(line)
            yield line

    for row in csv.reader(lines(), delimiter=delimiter, skipinitialspace=True):
        yield done, row


def _lines(piece: bytes) -> int:
    return piece.count(b"\n") or piece.count(b"\r")


def layout_of(channel: Channel) -> tuple[Path, Layout]:
    """Return the channel's first file and its layout.

    Raises:
        DataError: there is none, or it is not CSV.

    """
    first = data.files_of(channel)[0]
    return first, data.layout_of(first, channel.parameters.get("header"))
