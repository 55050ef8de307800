"""S3's objects across a stop: moto keeps them in memory, so they are written to the state folder and read again."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING

import boto3

if TYPE_CHECKING:
    from pathlib import Path

    from byoc_cli.emulator.emulator import Emulator

log = logging.getLogger(__name__)

# A bucket's: the file, key and content type of each object. A key may be longer than a file's name can be.
INDEX = "index.json"


def save(emulator: Emulator) -> None:
    """Write every bucket and object into the state folder, and remove there what is gone."""
    root, s3 = emulator.folder / "s3", _client(emulator)
    buckets = [each["Name"] for each in s3.list_buckets().get("Buckets", [])]
    for bucket in buckets:
        folder = root / bucket
        folder.mkdir(parents=True, exist_ok=True)
        index = {}
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for each in page.get("Contents", []):
                name = hashlib.sha256(each["Key"].encode()).hexdigest()
                answer = s3.get_object(Bucket=bucket, Key=each["Key"])
                with (folder / name).open("wb") as out:
                    out.writelines(answer["Body"].iter_chunks(1 << 20))
                index[name] = {"key": each["Key"], "type": answer["ContentType"]}
        _replace(folder / INDEX, json.dumps(index))
        _keep_only(folder, {*index, INDEX})
    for folder in set(root.glob("*")) - {root / bucket for bucket in buckets}:
        _keep_only(folder, set())
        folder.rmdir()


def restore(emulator: Emulator) -> None:
    """Make the buckets and objects that an earlier emulator wrote."""
    root, s3 = emulator.folder / "s3", _client(emulator)
    for file in sorted(root.glob(f"*/{INDEX}")):
        folder, location = file.parent, {}
        if emulator.region != "us-east-1":
            location = {"CreateBucketConfiguration": {"LocationConstraint": emulator.region}}
        s3.create_bucket(Bucket=folder.name, **location)
        for name, each in json.loads(file.read_bytes()).items():
            with (folder / name).open("rb") as body:
                s3.put_object(Bucket=folder.name, Key=each["key"], Body=body, ContentType=each["type"])
    if root.is_dir():
        log.info("S3 holds again what %s has", root)


def _replace(file: Path, text: str) -> None:
    beside = file.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)


def _keep_only(folder: Path, names: set[str]) -> None:
    for file in folder.iterdir():
        if file.name not in names:
            file.unlink()


def _client(emulator: Emulator) -> boto3.client:
    return boto3.client(
        "s3",
        endpoint_url=emulator.address,
        region_name=emulator.region,
        aws_access_key_id="emulator",
        aws_secret_access_key="emulator",  # noqa: S106 - moto takes any
    )
