"""Channels: the folders that a job's data lies in, or the pipes that it comes through."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from email.message import Message
from functools import cached_property
from typing import IO, TYPE_CHECKING

from byoc.errors import DataError
from byoc.training import pipes

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path
    from typing import Any


@dataclass(frozen=True)
class Channel:
    """One channel of a job.

    In File or FastFile mode it is a folder of files, which may be mounted read-only; in Pipe mode a stream an epoch.

    Attributes:
        name: as the job has it.
        folder: where its files are; in Pipe mode, what the pipes' names begin with.
        content_type: as the job says, CSV where it says nothing.
        is_pipe: whether it is in Pipe mode.
        has_records: whether a stream's S3 objects are framed as RecordIO; else they follow one another directly.

    """

    name: str
    folder: Path
    content_type: str = "text/csv"
    is_pipe: bool = False
    has_records: bool = False

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case."""
        return self.content_type.partition(";")[0].strip().lower()

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The parameters of the content type: ``text/csv; header=present`` gives ``{"header": "present"}``."""
        message = Message()
        message["content-type"] = self.content_type
        return {name.lower(): value for name, value in message.get_params(failobj=[])[1:]}

    def epochs(self) -> Generator[IO[bytes], None, None]:
        """Yield the stream of each epoch, waiting for its pipe; there is no end to epochs, so stop asking.

        A stream may be left before its end: it is closed when the next is asked for. ``byoc.training.pipes.records``
        takes RecordIO apart.

        Raises:
            DataError: the channel is not in Pipe mode, or the next pipe does not come.

        """
        if not self.is_pipe:
            raise DataError(f"channel '{self.name}' is not in Pipe mode; read its files()")
        for number in itertools.count():
            with pipes.open_epoch(self.folder.with_name(f"{self.name}_{number}")) as stream:
                yield stream

    def files(self, *suffixes: str) -> list[Path]:
        """Return the data files with one of the suffixes, or any, of all folders below, sorted by path.

        What tools leave beside data is passed over: hidden files and folders (``.ipynb_checkpoints``), names that
        begin with an underscore (``_SUCCESS``), manifests and empty files.

        Raises:
            DataError: there is none; the message says what is there instead.

        """
        if self.is_pipe:
            raise DataError(f"channel '{self.name}' is in Pipe mode and has no files; read its epochs()")
        everything = [path for path in sorted(self.folder.rglob("*")) if path.is_file()]
        visible = [path for path in everything if not _is_junk(path.relative_to(self.folder).parts)]
        chosen = [path for path in visible if path.name.lower().endswith(suffixes or ("",)) and path.stat().st_size > 0]
        if chosen:
            return chosen
        wanted = " or ".join(f"*{suffix}" for suffix in suffixes) or "file"
        if not everything:
            raise DataError(
                f"channel '{self.name}' is empty: no file in {self.folder}. Check the channel's S3 address; with "
                "ShardedByS3Key there must be at least one object for each host"
            )
        found = ", ".join(str(path.relative_to(self.folder)) for path in everything[:5])
        more = f" and {len(everything) - 5} more" if len(everything) > 5 else ""  # noqa: PLR2004
        raise DataError(f"channel '{self.name}' has no {wanted} with content in {self.folder}; it holds {found}{more}")


def find(folder: Path, configured: Mapping[str, Mapping[str, Any]], names: tuple[str, ...]) -> Channel | None:
    """Return the first of the named channels that the job has, None where it has none of them."""
    for name in names:
        entry = configured.get(name, {})
        is_pipe = str(entry.get("TrainingInputMode")).lower() == "pipe"
        has_records = str(entry.get("RecordWrapperType")).lower() == "recordio"
        if is_pipe or (folder / name).is_dir():
            return Channel(name, folder / name, entry.get("ContentType") or "text/csv", is_pipe, has_records)
    return None


def _is_junk(parts: tuple[str, ...]) -> bool:
    return any(part.startswith((".", "_")) for part in parts) or parts[-1].lower().endswith((".manifest", "-manifest"))
