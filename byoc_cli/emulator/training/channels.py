"""Channels: what of S3 each host gets, and how it is told."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from byoc_cli.emulator.storage import StorageError, below, shards

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from byoc_cli.emulator.storage import Storage
    from byoc_cli.emulator.training.hosts import Host

AUGMENTED = "AugmentedManifestFile"


@dataclass(frozen=True)
class Channel:
    """A channel of a request.

    Attributes:
        name: its name.
        source: its S3DataSource.
        mode: ``File``, ``FastFile`` or ``Pipe``.
        content_type: "" where none is given.
        compression: ``None`` or ``Gzip``.
        wrapper: ``None`` or ``RecordIO``.
        seed: of ShuffleConfig; None where it is not to be shuffled.
    """

    name: str
    source: Mapping[str, Any]
    mode: str
    content_type: str = ""
    compression: str = "None"
    wrapper: str = "None"
    seed: int | None = None

    @classmethod
    def read(cls, entry: Mapping[str, Any], mode: str) -> Channel:
        """Return an entry of InputDataConfig; ``mode`` is the algorithm's."""
        return cls(
            entry["ChannelName"],
            entry["DataSource"]["S3DataSource"],
            entry.get("InputMode", mode),
            entry.get("ContentType", ""),
            entry.get("CompressionType", "None"),
            entry.get("RecordWrapperType", "None"),
            entry.get("ShuffleConfig", {}).get("Seed"),
        )

    @property
    def distribution(self) -> str:
        """FullyReplicated or ShardedByS3Key."""
        return str(self.source.get("S3DataDistributionType", "FullyReplicated"))

    @property
    def is_pipe(self) -> bool:
        """Whether it comes through a pipe."""
        return self.mode == "Pipe"

    @property
    def config(self) -> dict[str, str]:
        """Its entry in ``inputdataconfig.json``, where FastFile is told as File."""
        return {
            **({"ContentType": self.content_type} if self.content_type else {}),
            "TrainingInputMode": "Pipe" if self.is_pipe else "File",
            "S3DistributionType": self.distribution,
            "RecordWrapperType": self.wrapper,
        }

    def goes_to(self, host: Host) -> bool:
        """Whether a host has this channel."""
        groups = self.source.get("InstanceGroupNames")
        return not groups or host.group in groups

    def listed(self, storage: Storage) -> list[tuple[str, str]]:
        """Return the URI and the path of each object; of an augmented manifest, each line and "".

        Raises:
            StorageError: there is none.
        """
        if self.source["S3DataType"] != AUGMENTED:
            return storage.listed(dict(self.source))
        lines = storage.read(self.source["S3Uri"]).decode("utf-8").splitlines()
        return [(line, "") for line in lines if line.strip()]

    def share(self, objects: Sequence[tuple[str, str]], hosts: Sequence[Host], host: Host) -> list[tuple[str, str]]:
        """Return those of the objects that a host gets."""
        mine = [each for each in hosts if self.goes_to(each)]
        if self.distribution == "FullyReplicated":
            return list(objects)
        # Before they are dealt out, or else each host would have the same ones whatever the seed.
        return list(shards(self.shuffled(objects, 0), len(mine)))[mine.index(host)]

    def shuffled(self, objects: Sequence[tuple[str, str]], epoch: int) -> list[tuple[str, str]]:
        """Return the objects in an epoch's order."""
        ordered = list(objects)
        if self.seed is not None:
            random.Random(self.seed + epoch).shuffle(ordered)  # noqa: S311 - an order, no secret
        return ordered

    def download(self, storage: Storage, objects: Sequence[tuple[str, str]], folder: Path) -> None:
        """Write the objects into the channel's folder.

        FastFile's too: a real one streams them as they are read, which a program cannot tell from files that are there.

        Raises:
            StorageError: one cannot be had.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for uri, name in objects:
            storage.download(uri, below(folder, name))

    def records(self, storage: Storage, item: str) -> list[bytes]:
        """Return what an object, or a line of an augmented manifest, puts into a pipe.

        Raises:
            StorageError: it cannot be had.
        """
        if self.source["S3DataType"] != AUGMENTED:
            return [storage.read(item)]
        try:
            line = json.loads(item)
            values = [(name, line[name]) for name in self.source["AttributeNames"]]
        except (ValueError, LookupError, TypeError) as error:
            raise StorageError(
                f"{self.source['S3Uri']}: {item[:80]!r} is no JSON object with all AttributeNames: {error}"
            ) from error
        return [
            storage.read(value) if name.endswith("-ref") else _text(value).encode("utf-8") for name, value in values
        ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
