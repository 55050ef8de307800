"""AWS, or the emulator in its place: the calls, those that change something only printed in a dry run."""

from __future__ import annotations

import json
import os
import re
import time
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
import click
from botocore import xform_name
from botocore.config import Config

from byoc_cli.sagemaker.errors import Refused, explained

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Answer = dict[str, Any]

# One that AWS has no use for, where a dry run knows none.
UNKNOWN_ACCOUNT = "111122223333"
DOMAINS = {"aws-cn": "amazonaws.com.cn", "aws-eusc": "amazonaws.eu"}
CONFIG = Config(retries={"mode": "standard", "max_attempts": 5})
STAMP = re.compile(r"(?<=.)-\d{8}-\d{6}-\d{3}$")
RUNTIME_SECONDS = 70  # the platform's 60, and then some


class Cloud:
    """What the commands speak to.

    Args:
        region: None for the environment's or the profile's.
        profile: of ``~/.aws``; None for the environment's.
        dry_run: print the calls that change something instead of making them.
        as_json: print one JSON object at the end instead of text.
    """

    def __init__(
        self, region: str | None = None, profile: str | None = None, *, dry_run: bool = False, as_json: bool = False
    ) -> None:
        self.dry_run = dry_run
        self.as_json = as_json
        self._asked = region or os.environ.get("AWS_REGION")
        self._profile = profile
        self._clients: dict[str, Any] = {}
        self._printed: list[Answer] = []

    @cached_property
    def session(self) -> boto3.session.Session:
        """boto3's session."""
        with explained("", "aws configure", {}):
            return boto3.session.Session(region_name=self._asked, profile_name=self._profile)

    @property
    def region(self) -> str:
        """The region.

        Raises:
            click.ClickException: none is set.
        """
        if not self.session.region_name:
            raise click.ClickException("no AWS region is set; add --region REGION, or set AWS_REGION")
        return str(self.session.region_name)

    @property
    def is_emulated(self) -> bool:
        """Whether SageMaker is one of this machine."""
        address = os.environ.get("AWS_ENDPOINT_URL_SAGEMAKER") or os.environ.get("AWS_ENDPOINT_URL") or ""
        return address.startswith(("http://127.0.0.1", "http://localhost"))

    @cached_property
    def is_anonymous(self) -> bool:
        """Whether there are no credentials, which only a dry run can do without."""
        with explained("", "aws configure", {}):
            return self.session.get_credentials() is None

    @cached_property
    def account(self) -> str:
        """The account's twelve digits."""
        if named := os.environ.get("AWS_ACCOUNT_ID"):
            return named
        if self.dry_run and self.is_anonymous:
            click.echo(f"Without credentials {UNKNOWN_ACCOUNT} stands for your account", err=True)
            return UNKNOWN_ACCOUNT
        return str(self.read("sts", "GetCallerIdentity")["Account"])

    @property
    def partition(self) -> str:
        """The region's part of AWS: aws, or aws-cn and others."""
        return str(self.session.get_partition_for_region(self.region))

    @property
    def registry(self) -> str:
        """Where the account's images are."""
        domain = DOMAINS.get(self.partition, "amazonaws.com")
        return os.environ.get("ECR_REGISTRY") or f"{self.account}.dkr.ecr.{self.region}.{domain}"

    def client(self, service: str) -> Any:
        """Return boto3's client of a service."""
        if service not in self._clients:
            config = CONFIG
            if service == "sagemaker-runtime":
                config = config.merge(Config(read_timeout=RUNTIME_SECONDS, max_pool_connections=1000))
            with explained(service, service, {}):
                self._clients[service] = self.session.client(service, region_name=self.region, config=config)
        return self._clients[service]

    def read(self, service: str, operation: str, **parameters: Any) -> Answer:
        """Make a call that changes nothing.

        Raises:
            Refused: AWS said no.
        """
        with explained(service, operation, parameters):
            answer: Answer = getattr(self.client(service), xform_name(operation))(**parameters)
        answer.pop("ResponseMetadata", None)
        return answer

    def call(self, service: str, operation: str, **parameters: Any) -> Answer:
        """Make a call; in a dry run print it.

        Raises:
            Refused: AWS said no.
        """
        if self.dry_run:
            self.show(service, operation, parameters)
            return {}
        return self.read(service, operation, **parameters)

    def find(self, service: str, operation: str, **parameters: Any) -> Answer | None:
        """Return what a call tells of something, None where that is not there."""
        if self.dry_run and self.is_anonymous:
            return None
        try:
            return self.read(service, operation, **parameters)
        except Refused as error:
            if error.is_missing:
                return None
            raise

    def pages(self, service: str, operation: str, member: str, most: int, **parameters: Any) -> list[Any]:
        """Return the first items of a list, page after page."""
        found: list[Any] = []
        with explained(service, operation, parameters):
            pages = self.client(service).get_paginator(xform_name(operation))
            for page in pages.paginate(**parameters, PaginationConfig={"MaxItems": most, "PageSize": min(most, 100)}):
                found += page.get(member, [])
        return found

    def upload(self, file: Path, bucket: str, key: str) -> str:
        """Write a file's content into an object; return its URI."""
        if self.dry_run:
            self.show("s3", "PutObject", {"Bucket": bucket, "Key": key, "Body": f"@{file}"})
        else:
            with explained("s3", "PutObject", {"Bucket": bucket, "Key": key}):
                self.client("s3").upload_file(str(file), bucket, key)
        return f"s3://{bucket}/{key}"

    def show(self, service: str, operation: str, parameters: Mapping[str, Any]) -> None:
        """Print a call that is not made."""
        if self.as_json:
            self._printed.append({"service": service, "operation": operation, "parameters": dict(parameters)})
        else:
            click.echo(f"{service} {operation}\n{text(parameters)}")

    def finish(self, result: Mapping[str, Any], *lines: str) -> None:
        """Print how it ended: the result as JSON, or the lines."""
        if self.dry_run:
            if self.as_json:
                click.echo(text({"calls": self._printed}))
        elif self.as_json:
            click.echo(text(result))
        else:
            for line in lines:
                click.echo(line)

    def say(self, line: str) -> None:
        """Tell what goes on, beside the result."""
        if not self.dry_run:
            click.echo(line, err=True)


def text(value: Any) -> str:
    """Return JSON to read, times as ISO 8601."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=_plain)


def stamp() -> str:
    """Return what tells names apart that are made one after the other."""
    now = time.time()
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{int(now * 1000) % 1000:03d}"


def named(stem: str, most: int = 63) -> str:
    """Return a new name that begins as the stem does, in letters SageMaker takes; an older name's stamp is replaced."""
    end = stamp()
    plain = STAMP.sub("", "".join(each if each.isascii() and each.isalnum() else "-" for each in stem)).strip("-")
    return f"{plain[: most - len(end) - 1].strip('-') or 'byoc'}-{end}"


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
