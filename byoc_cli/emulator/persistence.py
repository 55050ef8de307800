"""S3's objects across a stop: moto keeps them in memory, so they are written to the state folder and read again."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import boto3

if TYPE_CHECKING:
    from byoc_cli.emulator.emulator import Emulator

log = logging.getLogger(__name__)


def save(emulator: Emulator) -> None:
    """Write every bucket and object into the state folder."""
    root, s3 = emulator.folder / "s3", _client(emulator)
    for bucket in (each["Name"] for each in s3.list_buckets().get("Buckets", [])):
        folder = root / bucket
        folder.mkdir(parents=True, exist_ok=True)
        kept = {}
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for each in page.get("Contents", []):
                name = quote(each["Key"], safe="")
                answer = s3.get_object(Bucket=bucket, Key=each["Key"])
                (folder / name).write_bytes(answer["Body"].read())
                kept[name] = answer["ContentType"]
        for file in folder.iterdir():
            if file.name not in kept and file.name != ".types.json":
                file.unlink()
        (folder / ".types.json").write_text(json.dumps(kept))


def restore(emulator: Emulator) -> None:
    """Make the buckets and objects that an earlier emulator wrote."""
    root, s3 = emulator.folder / "s3", _client(emulator)
    for folder in sorted(root.glob("*")):
        location = {} if emulator.region == "us-east-1" else {"LocationConstraint": emulator.region}
        s3.create_bucket(Bucket=folder.name, **({"CreateBucketConfiguration": location} if location else {}))
        types = json.loads((folder / ".types.json").read_bytes())
        for name, media_type in types.items():
            s3.put_object(
                Bucket=folder.name, Key=unquote(name), Body=(folder / name).read_bytes(), ContentType=media_type
            )
    if root.is_dir():
        log.info("S3 holds again what %s has", root)


def _client(emulator: Emulator) -> boto3.client:
    return boto3.client(
        "s3",
        endpoint_url=emulator.address,
        region_name=emulator.region,
        aws_access_key_id="emulator",
        aws_secret_access_key="emulator",  # noqa: S106 - moto takes any
    )
