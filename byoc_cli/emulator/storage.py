"""S3 as jobs use it: prefixes and manifests down into folders, folders up, `model.tar.gz` in and out."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from byoc_cli.emulator.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class StorageError(Exception):
    """Something on S3 that a job needs and that is not there; the message is a FailureReason."""


def split(uri: str) -> tuple[str, str]:
    """Return the bucket and the key of ``s3://bucket/key``.

    Raises:
        ApiError: it is none.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise ApiError("ValidationException", f"'{uri}' is no S3 URI: write s3://bucket/prefix")
    return bucket, key


class Storage:
    """A client of the emulator's own S3.

    Args:
        address: the emulator's.
        region: of the client.
    """

    def __init__(self, address: str, region: str) -> None:
        self._s3 = boto3.client(
            "s3",
            endpoint_url=address,
            region_name=region,
            aws_access_key_id="emulator",
            aws_secret_access_key="emulator",  # noqa: S106 - moto takes any
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
        )

    def has(self, bucket: str) -> bool:
        """Whether there is a bucket."""
        try:
            self._s3.head_bucket(Bucket=bucket)
        except ClientError:
            return False
        return True

    def delete(self, uri: str) -> None:
        """Delete an object, if it is there.

        Raises:
            StorageError: the bucket is not.
        """
        bucket, key = split(uri)
        try:
            self._s3.delete_object(Bucket=bucket, Key=key)
        except ClientError as error:
            raise StorageError(f"{uri} cannot be deleted: {error}") from error

    def keys(self, uri: str) -> list[str]:
        """Return all keys that begin as the URI does, folders' own left out, sorted.

        Raises:
            StorageError: the bucket is not there.
        """
        bucket, prefix = split(uri)
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        try:
            return sorted(each["Key"] for page in pages for each in page.get("Contents", []) if each["Key"][-1:] != "/")
        except ClientError as error:
            raise StorageError(f"{uri} cannot be listed: {error}") from error

    def read(self, uri: str) -> bytes:
        """Return an object's content.

        Raises:
            StorageError: it is not there.
        """
        bucket, key = split(uri)
        try:
            return bytes(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        except ClientError as error:
            raise StorageError(f"{uri} cannot be read: {error}") from error

    def write(self, uri: str, body: bytes, content_type: str = "application/octet-stream") -> None:
        """Write an object.

        Raises:
            StorageError: the bucket is not there.
        """
        bucket, key = split(uri)
        try:
            self._s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)
        except ClientError as error:
            raise StorageError(f"{uri} cannot be written: {error}") from error

    def download(self, uri: str, file: Path) -> None:
        """Write an object into a file.

        Raises:
            StorageError: it is not there.
        """
        bucket, key = split(uri)
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._s3.download_file(bucket, key, str(file))
        except ClientError as error:
            raise StorageError(f"{uri} cannot be downloaded: {error}") from error

    def upload(self, file: Path, uri: str) -> None:
        """Write a file's content into an object.

        Raises:
            StorageError: the bucket is not there.
        """
        bucket, key = split(uri)
        try:
            self._s3.upload_file(str(file), bucket, key)
        except (ClientError, boto3.exceptions.S3UploadFailedError) as error:
            raise StorageError(f"{file.name} cannot be uploaded to {uri}: {error}") from error

    def upload_folder(self, folder: Path, uri: str) -> None:
        """Write all files of a folder below a prefix.

        Raises:
            StorageError: the bucket is not there.
        """
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            self.upload(file, f"{uri.rstrip('/')}/{file.relative_to(folder).as_posix()}")

    def listed(self, source: dict[str, Any]) -> list[tuple[str, str]]:
        """Return what an S3DataSource or the like names: each object's URI, and its path in the channel's folder.

        Raises:
            StorageError: a manifest cannot be read, or there is nothing.
        """
        uri, kind = source["S3Uri"], source.get("S3DataType", "S3Prefix")
        bucket, prefix = split(uri)
        if kind == "ManifestFile":
            found = self._of_manifest(uri)
        else:
            # What is below a folder keeps its path in there; what a prefix ends within, its name.
            base = prefix if prefix.endswith("/") else prefix.rpartition("/")[0] + "/"
            keys = self.keys(uri)
            inside = [key for key in keys if key.startswith(prefix.rstrip("/") + "/")]
            if inside and not prefix.endswith("/"):
                base, keys = prefix + "/", inside
            found = [(f"s3://{bucket}/{key}", key.removeprefix(base.removeprefix("/"))) for key in keys]
        if not found:
            raise StorageError(f"there is no object at {uri} ({kind})")
        return found

    def _of_manifest(self, uri: str) -> list[tuple[str, str]]:
        try:
            entries = json.loads(self.read(uri))
            prefix, names = entries[0]["prefix"], [name for name in entries[1:] if isinstance(name, str)]
        except (ValueError, LookupError, TypeError) as error:
            raise StorageError(
                f'{uri} is no manifest, which is [{{"prefix": "s3://..."}}, "key", ...]: {error}'
            ) from error
        return [(prefix + name, name) for name in names]


def pack(folder: Path, archive: Path) -> None:
    """Make a ``.tar.gz`` of what is in a folder, links followed to nowhere."""
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, arcname=path.name)


def shards(objects: Sequence[tuple[str, str]], hosts: int) -> Iterator[list[tuple[str, str]]]:
    """Yield each host's share of objects, as ShardedByS3Key deals them out."""
    for host in range(hosts):
        yield list(objects[host::hosts])


def below(folder: Path, name: str) -> Path:
    """Return a file's place in a folder; a key cannot lead out of it.

    Raises:
        StorageError: it would.
    """
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..", ".")]
    if not parts:
        raise StorageError(f"the key {name!r} names no file")
    return folder.joinpath(*parts)
