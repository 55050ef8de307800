"""Amazon ECR on this machine: moto's server answers the AWS calls, Debian's docker-registry keeps the images."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import requests

from tests.engine import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
ACCOUNT = "123456789012"  # moto's own
REGION = "eu-west-1"
DOCKER_V2 = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
# The aws CLI is a Python package too: the one installed beside pytest comes first.
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


@cache
def working(name: str) -> str | None:
    """Return the path of a program that answers to --version."""
    program = shutil.which(name, path=PATH)
    works = program and subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0
    return program if works else None


def need_tool(name: str) -> str:
    """Return the path of a working program, or skip."""
    program = working(name)
    if program is None:
        unavailable(f"no working `{name}` on PATH or beside {sys.executable}")
    return program


@dataclass(frozen=True)
class Registry:
    """A running registry, seen through its HTTP API."""

    host: str

    def tags(self, repository: str) -> set[str]:
        """Return the tags of a repository, none when there is no such repository."""
        answer = requests.get(f"http://{self.host}/v2/{repository}/tags/list", timeout=10)
        return set(answer.json().get("tags") or ())

    def manifest(self, repository: str, tag: str) -> tuple[str, str]:
        """Return media type and digest of what a tag points at."""
        accept = f"{DOCKER_V2}, {OCI_MANIFEST}, {OCI_INDEX}"
        url = f"http://{self.host}/v2/{repository}/manifests/{tag}"
        answer = requests.get(url, headers={"Accept": accept}, timeout=10)
        answer.raise_for_status()
        return answer.headers["Content-Type"], answer.headers["Docker-Content-Digest"]

    def put_blob(self, repository: str, content: bytes) -> dict[str, Any]:
        """Store a blob; return the digest and size by which a manifest refers to it."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        upload = requests.post(f"http://{self.host}/v2/{repository}/blobs/uploads/", timeout=10)
        octets = {"Content-Type": "application/octet-stream"}
        url = upload.headers["Location"]
        requests.put(url, params={"digest": digest}, data=content, headers=octets, timeout=10).raise_for_status()
        return {"digest": digest, "size": len(content)}

    def put_manifest(self, repository: str, tag: str, media_type: str, manifest: dict[str, Any]) -> dict[str, Any]:
        """Store a manifest under a tag; return its descriptor."""
        content = json.dumps(manifest).encode()
        url = f"http://{self.host}/v2/{repository}/manifests/{tag}"
        requests.put(url, data=content, headers={"Content-Type": media_type}, timeout=10).raise_for_status()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return {"mediaType": media_type, "digest": digest, "size": len(content)}


@contextmanager
def running_registry(folder: Path, *, read_only: bool = False) -> Iterator[Registry]:
    """Run docker-registry on a free port of 127.0.0.1, where Docker asks for no TLS."""
    program = need_tool("docker-registry")
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    storage = {"filesystem": {"rootdirectory": str(folder)}, "maintenance": {"readonly": {"enabled": read_only}}}
    config = folder / "registry.yml"
    config.write_text(json.dumps({"version": "0.1", "storage": storage, "http": {"addr": host}}))  # JSON is YAML
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log)
    try:
        wait_for(f"http://{host}/v2/", process)
        yield Registry(host)
    finally:
        process.terminate()
        process.wait(10)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return when the URL answers; fail when the process ends or a minute has passed."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            requests.get(url, timeout=2).raise_for_status()
        except (requests.ConnectionError, requests.Timeout):
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"{url} did not answer (exit status {process.poll()})")


def scans_on_push(endpoint: str, repository: str) -> bool | None:
    """Return whether moto's ECR has a repository with scan on push; None when there is no such repository."""
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    client = boto3.client("ecr", endpoint_url=endpoint, region_name=REGION, **keys)
    try:
        found = client.describe_repositories(repositoryNames=[repository])["repositories"][0]
    except client.exceptions.RepositoryNotFoundException:
        return None
    return bool(found["imageScanningConfiguration"]["scanOnPush"])
