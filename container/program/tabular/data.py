"""Reading training data: every file of a channel, CSV or SageMaker's records, as one table."""

from __future__ import annotations

import csv
import gzip
import hashlib
import itertools
import logging
import shutil
import tempfile
import warnings
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import pandas as pd

from byoc import aialgs
from byoc.errors import DataError
from byoc.schema import MISSING
from byoc.training import pipes
from tabular import records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from byoc.training.channels import Channel

log = logging.getLogger(__name__)

SUFFIXES = (".csv", ".csv.gz")
# What may come through a pipe, and what a file of it is called.
PIPED = {"text/csv": ".csv", aialgs.MEDIA_TYPE: ".pbr"}
# Rows looked at to tell a header row from data.
SAMPLE = 200
DELIMITERS = (",", ";", "\t")
# What a file that is damaged, or not CSV, makes its readers raise.
UNREADABLE = (OSError, EOFError, UnicodeDecodeError, zlib.error, csv.Error)


@dataclass(frozen=True)
class Layout:
    """How a file is written: its delimiter, its columns' names, and whether a header row gave them."""

    delimiter: str
    names: tuple[str, ...]
    has_header: bool


@contextmanager
def on_disk(channel: Channel) -> Iterator[Channel]:
    """Give a channel of files; of one in Pipe mode the first epoch, as a temporary file, or one a record.

    Raises:
        DataError: the pipe does not come, has nothing in it, or is said to hold something that is not read here.

    """
    if not channel.is_pipe:
        yield channel
        return
    if channel.media_type not in PIPED:
        raise DataError(
            f"channel '{channel.name}' sends {channel.media_type} through its pipe; this algorithm reads "
            f"{' and '.join(PIPED)}"
        )
    suffix = PIPED[channel.media_type]
    epochs = channel.epochs()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stream = next(epochs)
        for number, record in enumerate(pipes.records(stream) if channel.has_records else ()):
            (folder / f"{channel.name}_0-{number:06d}{suffix}").write_bytes(record)
        if not channel.has_records:
            with (folder / f"{channel.name}_0{suffix}").open("wb") as file:
                shutil.copyfileobj(stream, file, 1 << 20)
        epochs.close()
        if not any(path.stat().st_size for path in folder.iterdir()):
            raise DataError(f"channel '{channel.name}' sent nothing through its pipe; check the channel's S3 address")
        yield replace(channel, folder=folder, is_pipe=False)


def read(channel: Channel) -> pd.DataFrame:
    """Return all rows of the channel's files, in the files' sorted order.

    The files are ``*.csv`` and ``*.csv.gz``; or, of whatever name, what `tabular.records` reads, where the content type
    says so. Columns of numbers are numeric, of true and false are bool, all else is text; missing values are NaN. Names
    come from the header row; without one they are ``column_0`` and so on.

    Raises:
        DataError: a file cannot be read, or does not fit the others; names file and line, never a value.

    """
    files = files_of(channel)
    if channel.media_type == aialgs.MEDIA_TYPE:
        frame = records.read(files)
    else:
        frame = _read_csv(files, channel.parameters.get("header"))
    log.info("channel '%s': %d rows, %d columns from %d files", channel.name, *frame.shape, len(files))
    return frame


def digest(channel: Channel) -> str:
    """Return the SHA-256 of the files' contents, in the order in which they are read."""
    total = hashlib.sha256()
    for path in files_of(channel):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
    return total.hexdigest()


def files_of(channel: Channel) -> list[Path]:
    """Return the channel's files in the order in which they are read.

    Raises:
        DataError: there is none.

    """
    return channel.files() if channel.media_type == aialgs.MEDIA_TYPE else channel.files(*SUFFIXES)


def _read_csv(files: Sequence[Path], header: str | None) -> pd.DataFrame:
    first = layout_of(files[0], header)
    layouts = [first, *(same_layout(file, files[0], first, header) for file in files[1:])]
    frames = [_read_file(file, layout) for file, layout in zip(files, layouts, strict=True)]
    mixed = [name for name in first.names if len({_is_text(frame[name]) for frame in frames}) > 1]
    if mixed:
        # Text in one file, numbers in another: it is text in all, spelt as in the files.
        frames = [_read_file(file, layout, mixed) for file, layout in zip(files, layouts, strict=True)]
    return pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]


def _open(file: Path) -> IO[str]:
    if file.name.endswith(".gz"):
        return cast("IO[str]", gzip.open(file, "rt", encoding="utf-8-sig", newline=""))
    return file.open(encoding="utf-8-sig", newline="")


def _first_rows(file: Path) -> tuple[str, list[list[str]]]:
    """Return a file's delimiter and its first rows; the first of them may be a header."""
    try:
        with _open(file) as lines:
            line = next((line for line in lines if line.strip()), "")
            delimiter = max(DELIMITERS, key=line.count)
            records = csv.reader(itertools.chain([line], lines), delimiter=delimiter)
            rows = [row for row in itertools.islice(records, SAMPLE) if row]
    except UNREADABLE as error:
        raise DataError(f"{file} cannot be read as CSV in UTF-8: {error}") from error
    if not rows:
        raise DataError(f"{file} holds only blank lines")
    return delimiter, rows


def layout_of(file: Path, header: str | None) -> Layout:
    """Find a file's layout; ``header`` is the content type's parameter, ``present`` or ``absent``.

    Raises:
        DataError: it is not CSV, or its header row names a column twice.

    """
    delimiter, rows = _first_rows(file)
    has_header = header == "present" if header in ("present", "absent") else _is_header(rows)
    if not has_header:
        return Layout(delimiter, tuple(f"column_{number}" for number in range(len(rows[0]))), has_header=False)
    names = _names(rows[0])
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise DataError(f"{file}: the header row names {', '.join(map(repr, doubled))} more than once")
    return Layout(delimiter, names, has_header=True)


def _names(header: Sequence[str]) -> tuple[str, ...]:
    return tuple(cell.strip() or f"column_{number}" for number, cell in enumerate(header))


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns.

    It does if none of its cells is a number, missing, or comes again below in its column: names are not values. Only
    the first may be empty, as over the row numbers that pandas writes; the row 0, 1, 2, … is how it writes no names.
    """
    head, body = [cell.strip() for cell in rows[0]], rows[1:]
    if head == [str(number) for number in range(len(head))] and len(head) > 2:  # noqa: PLR2004
        return True
    if not body or len(set(head)) < len(head) or any(_is_number(cell) for cell in head) or MISSING & set(head[1:]):
        return False
    return not any(row[number].strip() == name for row in body for number, name in enumerate(head) if number < len(row))


def same_layout(file: Path, first_file: Path, first: Layout, header: str | None) -> Layout:
    """Return the layout of another file of the channel.

    Its columns may stand in another order; and where a table was cut into pieces, only the first has the header row.

    Raises:
        DataError: it is not CSV, or has other columns.

    """
    if not first.has_header:
        return first
    delimiter, rows = _first_rows(file)
    names = _names(rows[0])
    if sorted(names) == sorted(first.names):
        return Layout(delimiter, names, has_header=True)
    if header != "present" and len(names) == len(first.names) and not _is_header(rows):
        return Layout(delimiter, first.names, has_header=False)
    # Its own names may be data, which no message tells.
    lacking = ", ".join([repr(name) for name in first.names if name not in names][:10]) or "no others"
    raise DataError(
        f"{file} does not have the columns of {first_file}: {len(names)}, not {len(first.names)}; it lacks {lacking}"
    )


def _read_file(file: Path, layout: Layout, as_text: Sequence[str] = ()) -> pd.DataFrame:
    return parse(file, layout, as_text, name=file, lines=lambda: _open(file))


def parse(
    source: Path | IO[bytes],
    layout: Layout,
    as_text: Sequence[str],
    *,
    name: Path,
    lines: Callable[[], IO[str]],
    before: int = 0,
) -> pd.DataFrame:
    """Return the rows of a file, or of whole rows out of one.

    Args:
        source: the file, or its bytes.
        layout: how it is written.
        as_text: columns that are text, spelt as in the file, whatever they hold.
        name: the file, for messages.
        lines: gives the source as lines of text.
        before: lines of the file that stand before the source.

    Raises:
        DataError: it cannot be read; names file and line, never a value.

    """
    try:
        with warnings.catch_warnings():
            # Given names, pandas drops what a row has more than those, and only warns.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                source,
                sep=layout.delimiter,
                names=list(layout.names),
                header=0 if layout.has_header else None,
                index_col=False,
                dtype=dict.fromkeys(as_text, "str"),
                na_values=sorted(MISSING),
                keep_default_na=False,
                skipinitialspace=True,
                encoding="utf-8-sig",
                low_memory=False,
                on_bad_lines="error",
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        if "EOF inside string" not in reason:
            _check_widths(lines, name, layout, before)
        raise DataError(f"{name} cannot be read as CSV: {reason}") from error
    except UNREADABLE as error:
        raise DataError(f"{name} cannot be read as CSV in UTF-8: {error}") from error
    if frame.empty:
        raise DataError(f"{name} has a header row and no data")
    if frame.iloc[:, -1].isna().any():
        _check_widths(lines, name, layout, before)
    return frame


def _check_widths(source: Callable[[], IO[str]], name: Path, layout: Layout, before: int) -> None:
    """Refuse rows too long, and those too short, which pandas fills up: only a missing last cell can hide one."""
    with source() as lines:
        records = csv.reader(lines, delimiter=layout.delimiter)
        for row in records:
            if row and len(row) != len(layout.names):
                raise DataError(f"{name}, line {before + records.line_num}: {len(row)} values, not {len(layout.names)}")


def _is_text(column: pd.Series) -> bool:
    return not pd.api.types.is_numeric_dtype(column)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # Python's own way to group digits, and part of many a column's name
