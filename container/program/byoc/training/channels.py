"""Channels: the folders that a job's data lies in."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import Message
from functools import cached_property
from typing import TYPE_CHECKING

from byoc.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any


@dataclass(frozen=True)
class Channel:
    """One channel of a job, in File or FastFile mode: a folder of files, which may be mounted read-only."""

    name: str
    folder: Path
    content_type: str = "text/csv"

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The parameters of the content type: ``text/csv; header=present`` gives ``{"header": "present"}``."""
        message = Message()
        message["content-type"] = self.content_type
        return {name.lower(): value for name, value in message.get_params(failobj=[])[1:]}

    def files(self, *suffixes: str) -> list[Path]:
        """Return the data files with one of the suffixes, of all folders below, sorted by path.

        What tools leave beside data is passed over: hidden files and folders (``.ipynb_checkpoints``), names that
        begin with an underscore (``_SUCCESS``), manifests and empty files.

        Raises:
            DataError: there is none; the message says what is there instead.

        """
        everything = [path for path in sorted(self.folder.rglob("*")) if path.is_file()]
        visible = [path for path in everything if not _is_junk(path.relative_to(self.folder).parts)]
        chosen = [path for path in visible if path.name.lower().endswith(suffixes) and path.stat().st_size > 0]
        if chosen:
            return chosen
        wanted = " or ".join(f"*{suffix}" for suffix in suffixes)
        if not everything:
            raise DataError(
                f"channel '{self.name}' is empty: no file in {self.folder}. Check the channel's S3 address; with "
                "ShardedByS3Key there must be at least one object for each host"
            )
        found = ", ".join(str(path.relative_to(self.folder)) for path in everything[:5])
        more = f" and {len(everything) - 5} more" if len(everything) > 5 else ""  # noqa: PLR2004
        raise DataError(f"channel '{self.name}' has no {wanted} with content in {self.folder}; it holds {found}{more}")


def find(folder: Path, configured: Mapping[str, Mapping[str, Any]], names: tuple[str, ...]) -> Channel | None:
    """Return the first of the named channels that the job has, None where it has none of them.

    Raises:
        DataError: the channel is there in Pipe mode.

    """
    for name in names:
        entry = configured.get(name, {})
        if str(entry.get("TrainingInputMode", "File")).lower() == "pipe":
            raise DataError(f"channel '{name}' is in Pipe mode, which this algorithm cannot read; use File or FastFile")
        if (folder / name).is_dir():
            return Channel(name, folder / name, entry.get("ContentType") or "text/csv")
    return None


def _is_junk(parts: tuple[str, ...]) -> bool:
    return any(part.startswith((".", "_")) for part in parts) or parts[-1].lower().endswith((".manifest", "-manifest"))
