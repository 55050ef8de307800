"""Where things go on S3: data and models up, results down."""

from __future__ import annotations

import tarfile
import tempfile
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from byoc_cli.sagemaker.errors import explained

if TYPE_CHECKING:
    from byoc_cli.sagemaker.cloud import Cloud

PREFIX = "byoc"
SCHEME = "s3://"
ARCHIVE = ".tar.gz"


class Bucket:
    """The bucket for all that is uploaded, and below whose prefix results go unless another place is named.

    Args:
        cloud: where it is.
        name: None for SageMaker's default bucket of the account and region, which is made where it is missing.
    """

    def __init__(self, cloud: Cloud, name: str | None = None) -> None:
        self._cloud = cloud
        self._given = name

    @cached_property
    def name(self) -> str:
        """Its name, once it is there."""
        if self._given:
            return self._given.removeprefix(SCHEME).rstrip("/")
        name = f"sagemaker-{self._cloud.region}-{self._cloud.account}"
        if self._cloud.find("s3", "HeadBucket", Bucket=name) is None:
            region = self._cloud.region
            where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            self._cloud.call("s3", "CreateBucket", Bucket=name, **where)
        return name

    def uri(self, *parts: str) -> str:
        """Return a place below the prefix."""
        return f"{SCHEME}{self.name}/{PREFIX}/{'/'.join(parts)}"

    def data(self, path: str, *parts: str) -> str:
        """Return the URI of data: as it is, or of the local file or folder once that is uploaded.

        Raises:
            click.ClickException: there is no such file or folder, or nothing in it.
        """
        if path.startswith(SCHEME):
            return path
        local = existing(path)
        files = [local] if local.is_file() else sorted(each for each in local.rglob("*") if _is_data(each, local))
        if not files:
            raise click.ClickException(f"{path} has no files in it to upload")
        size = sum(file.stat().st_size for file in files)
        self._cloud.say(f"Uploading {path}: {len(files)} file{'s' * (len(files) > 1)}, {size / 1e6:,.1f} MB")
        base = local.parent if local.is_file() else local
        key = PurePosixPath(PREFIX, *parts)
        for file in files:
            self._cloud.upload(file, self.name, str(key / file.relative_to(base).as_posix()))
        return f"{SCHEME}{self.name}/{key}/{local.name if local.is_file() else ''}"

    def model(self, path: str, *parts: str) -> str:
        """Return the URI of a model: as it is, or of the local archive or folder, packed and uploaded.

        Raises:
            click.ClickException: SageMaker would not take it.
        """
        if path.startswith(SCHEME):
            if not path.endswith(ARCHIVE):
                raise click.ClickException(
                    f"{path} is no model: SageMaker takes a {ARCHIVE}; for a prefix with many of them: --multi-model"
                )
            return path
        return self._archive(existing(path), str(PurePosixPath(PREFIX, *parts, "model.tar.gz")))

    def models(self, path: str, *parts: str) -> str:
        """Return the prefix of many models: as it is, or that of a local folder's archives and folders, uploaded.

        Raises:
            click.ClickException: there is none in it.
        """
        if path.startswith(SCHEME):
            if path.endswith(ARCHIVE):
                raise click.ClickException(f"{path} is one model; --multi-model takes the prefix of many, ending in /")
            return path if path.endswith("/") else f"{path}/"
        folder = existing(path)
        inside = sorted(folder.iterdir()) if folder.is_dir() else []
        found = [each for each in inside if each.name.endswith(ARCHIVE) or (each.is_dir() and each.name[0] != ".")]
        if not found:
            raise click.ClickException(f"{path} has neither {ARCHIVE} files nor folders in it, one for each model")
        key = PurePosixPath(PREFIX, *parts)
        for each in found:
            self._archive(each, str(key / f"{each.name.removesuffix(ARCHIVE)}{ARCHIVE}"))
        return f"{SCHEME}{self.name}/{key}/"

    def _archive(self, path: Path, key: str) -> str:
        if path.is_file():
            _check_archive(path)
            self._cloud.say(f"Uploading {path}: {path.stat().st_size / 1e6:,.1f} MB")
            return self._cloud.upload(path, self.name, key)
        if not any(each.is_file() for each in path.rglob("*")):
            raise click.ClickException(f"{path} has no files in it: it is no model")
        with tempfile.TemporaryDirectory(prefix="byoc-model-") as folder:
            archive = Path(folder, "model.tar.gz")
            self._cloud.say(f"Packing and uploading {path}")
            if self._cloud.dry_run:
                return self._cloud.upload(path, self.name, key)
            _pack(path, archive)
            return self._cloud.upload(archive, self.name, key)


def place(uri: str) -> tuple[str, str]:
    """Return bucket and key of a URI.

    Raises:
        click.ClickException: it is none.
    """
    bucket, _, key = uri.removeprefix(SCHEME).partition("/")
    if not uri.startswith(SCHEME) or not bucket:
        raise click.ClickException(f"{uri!r} is no place on S3; write it as s3://bucket/prefix")
    return bucket, key


def download(cloud: Cloud, uri: str, folder: Path) -> list[Path]:
    """Write all objects below a prefix into a folder; return the files."""
    bucket, prefix = place(uri.rstrip("/") + "/")
    files = []
    for each in cloud.pages("s3", "ListObjectsV2", "Contents", 100_000, Bucket=bucket, Prefix=prefix):
        parts = [part for part in PurePosixPath(each["Key"].removeprefix(prefix)).parts if part not in ("..", "/")]
        if not parts or each["Key"].endswith("/"):
            continue
        file = folder.joinpath(*parts)
        file.parent.mkdir(parents=True, exist_ok=True)
        with explained("s3", "GetObject", {"Bucket": bucket, "Key": each["Key"]}):
            cloud.client("s3").download_file(bucket, each["Key"], str(file))
        files.append(file)
    return files


def existing(path: str) -> Path:
    """Return a local path.

    Raises:
        click.ClickException: there is nothing.
    """
    found = Path(path).expanduser()
    if not found.exists():
        raise click.ClickException(f"{path} is neither a file or folder here nor an s3:// URI")
    return found


def _is_data(path: Path, folder: Path) -> bool:
    """Whether a file is to be uploaded: hidden ones, such as .gitkeep and .DS_Store, are not data."""
    return path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)


def _check_archive(path: Path) -> None:
    """Refuse what SageMaker would not unpack, before it is uploaded.

    Raises:
        click.ClickException: it is that.
    """
    try:
        with tarfile.open(path, "r:gz") as tar:
            first = tar.next()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise click.ClickException(
            f"{path} is no gzip-compressed tar, which is what SageMaker takes ({error}); name the folder instead, or "
            "make it by: tar -czf model.tar.gz -C MODEL_DIR ."
        ) from error
    if first is None:
        raise click.ClickException(f"{path} has nothing in it: it is no model")


def _pack(folder: Path, archive: Path) -> None:
    """Pack what is in a folder; links become what they point to, since the rest of this machine stays here."""
    with tarfile.open(archive, "w:gz", dereference=True) as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, arcname=path.name)
