"""The Docker engine that image tests run on, where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from typing import NoReturn

import pytest


def docker(*arguments: str, check: bool = True, timeout: float = 280) -> subprocess.CompletedProcess[str]:
    """Run a docker command and return what it printed."""
    return subprocess.run(
        [client(), *arguments],
        capture_output=True,
        text=True,
        check=check,
        timeout=timeout,
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
    )


@cache
def client() -> str:
    """Return a docker client that can build: with buildx, or old enough to have BuildKit built in."""
    for path in os.environ.get("DOCKER", ""), *_all("docker"):
        if path and _works(path, "buildx", "version"):
            return path
    for path in _all("docker"):
        version = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
        if "version 2" in version and version.partition("version ")[2].split(".")[0] in ("20", "21", "22"):
            return path
    unavailable("no docker client that can build (buildx is missing)")


def require() -> None:
    """Skip where no engine answers; in CI, where one must, fail."""
    if not _works(client(), "info"):
        unavailable("no Docker engine answers")


def unavailable(reason: str) -> NoReturn:
    """Skip a test that cannot run here; in CI, where nothing may be missing, fail it."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; in CI this test must run")
    pytest.skip(reason)


def _all(name: str) -> list[str]:
    folders = os.environ.get("PATH", "").split(os.pathsep)
    return [path for folder in folders if (path := shutil.which(name, path=folder))]


def _works(path: str, *arguments: str) -> bool:
    return subprocess.run([path, *arguments], capture_output=True, check=False).returncode == 0
