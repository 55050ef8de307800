"""Where a script comes from: S3, a local folder or archive, or what already lies in ``/opt/ml/code``."""

from __future__ import annotations

import logging
import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from byoc.errors import UserError

if TYPE_CHECKING:
    from byoc.env import TrainingEnvironment

log = logging.getLogger(__name__)

# What an archive of scripts may hold: bytes unpacked, and files.
LARGEST = 1 << 30
MOST = 20_000


class CodeError(UserError):
    """Code that cannot be had."""


def fetch(source: str, environment: TrainingEnvironment) -> Path:
    """Return the folder with the code.

    Args:
        source: ``s3://bucket/key.tar.gz``, ``file:///folder``, a folder, a ``.tar.gz``; "" for ``/opt/ml/code``.
        environment: the job; code that already lies in its ``/opt/ml/code`` is used as it is.

    Raises:
        CodeError: it is not there, cannot be fetched, or is no archive that may be unpacked.

    """
    home = environment.paths.code
    if home.is_dir() and any(home.iterdir()):
        return home
    if source.startswith("s3://"):
        with tempfile.TemporaryDirectory() as folder:
            return unpack(_download(source, Path(folder)), home)
    place = environment.paths.local(source.removeprefix("file://"))
    if place.is_dir():
        return place
    if not place.is_file():
        raise CodeError(f"sagemaker_submit_directory={source!r}: there is no {place}; name a folder or a .tar.gz")
    return unpack(place, home)


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive into the folder, which is not left half full, and return the folder.

    Raises:
        CodeError: it is damaged, larger than `LARGEST` or `MOST`, or has a member that points out of the folder.

    """
    size = number = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as members:
            for member in members:
                size, number = size + member.size, number + 1
                if size > LARGEST or number > MOST:
                    raise CodeError(f"{archive.name} holds more than {MOST} files or {LARGEST >> 20} MiB of code")
                _extract(members, member, folder)
    except (tarfile.TarError, EOFError, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise CodeError(f"{archive.name} cannot be unpacked into {folder}: {error}") from error
    except CodeError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _extract(members: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Extract a member that stays inside the folder; Python before 3.11.4 cannot tell of links, so it refuses them.

    Raises:
        tarfile.TarError: it does not, or is a device.

    """
    if hasattr(tarfile, "data_filter"):
        members.extract(member, folder, filter="data")
        return
    inside = (folder / member.name).resolve().is_relative_to(folder.resolve())
    if not inside or not (member.isfile() or member.isdir()):
        raise tarfile.ExtractError(f"{member.name!r} is outside the folder, a link or a device")
    members.extract(member, folder)


def _download(address: str, folder: Path) -> Path:
    # Imported only here: most jobs need no network, and some have none.
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    bucket, _, key = address.removeprefix("s3://").partition("/")
    file = folder / (key.rpartition("/")[2] or "code.tar.gz")
    settings = Config(connect_timeout=10, read_timeout=60, retries={"max_attempts": 3})
    # SageMaker sets AWS_REGION, which boto3 does not read; the SDK's local mode sets S3_ENDPOINT_URL.
    region, endpoint = os.environ.get("AWS_REGION"), os.environ.get("S3_ENDPOINT_URL")
    try:
        client = boto3.client("s3", region_name=region, endpoint_url=endpoint, config=settings)
        client.download_file(bucket, key, str(file))
    except (BotoCoreError, ClientError, OSError) as error:
        raise CodeError(
            f"{address} cannot be fetched: {error}. The job's role needs s3:GetObject on it; under network isolation "
            "give the code as a channel and name /opt/ml/input/data/<channel> instead"
        ) from error
    log.info("fetched %s", address)
    return file
