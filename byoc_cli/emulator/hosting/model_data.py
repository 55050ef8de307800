"""A container's model data: from S3 into the folder that is its /opt/ml."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byoc_cli.docker.archive import unpack
from byoc_cli.emulator.storage import StorageError, below

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoc_cli.emulator.storage import Storage

ARCHIVE = ".tar.gz"


def lay_out(storage: Storage, container: Mapping[str, Any], ml: Path) -> None:
    """Fill an empty folder with ``model`` and ``additional-model-data-sources``, or ``models`` for those to come.

    Raises:
        StorageError: something is not on S3, or is not as it was said to be.
        click.ClickException: an archive is refused.
    """
    if container.get("Mode") == "MultiModel":
        (ml / "models").mkdir()
        return
    (ml / "model").mkdir()
    if "ModelDataUrl" in container:
        unpacked(storage, container["ModelDataUrl"], ml / "model")
    elif "ModelDataSource" in container:
        _fetch(storage, container["ModelDataSource"]["S3DataSource"], ml / "model")
    for each in container.get("AdditionalModelDataSources", []):
        folder = ml / "additional-model-data-sources" / each["ChannelName"]
        folder.mkdir(parents=True)
        _fetch(storage, each["S3DataSource"], folder)


def unpacked(storage: Storage, uri: str, folder: Path) -> None:
    """Unpack an archive into an empty folder.

    Raises:
        StorageError: it is not there, or its name is no archive's.
        click.ClickException: it is refused.
    """
    if not uri.endswith(ARCHIVE):
        raise StorageError(f"ModelDataUrl must name an archive, which ends in {ARCHIVE}: {uri}")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".download-") as beside:
        archive = Path(beside, "model.tar.gz")
        storage.download(uri, archive)
        unpack(archive, folder)


def _fetch(storage: Storage, source: Mapping[str, Any], folder: Path) -> None:
    uri, is_prefix = source["S3Uri"], source["S3DataType"] == "S3Prefix"
    if source["CompressionType"] == "Gzip":
        unpacked(storage, uri, folder)
    elif is_prefix:
        for each, name in storage.listed({"S3Uri": uri.rstrip("/") + "/"}):
            storage.download(each, below(folder, name))
    else:
        storage.download(uri, folder / uri.rpartition("/")[2])
