"""The Docker engine that image tests run on, where there is one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
import requests

from tests.program import ROOT, json_lines, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

Finished = subprocess.CompletedProcess[str]

# Where serve listens inside a container.
PORT = 8080


def docker(*arguments: str, check: bool = True, timeout: float = 280) -> Finished:
    """Run a docker command and return what it printed."""
    return subprocess.run(
        [client(), *arguments],
        capture_output=True,
        text=True,
        check=check,
        timeout=timeout,
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
    )


def build(name: str, context: Path = ROOT / "container", arguments: Mapping[str, str] | None = None) -> Finished:
    """Build an image with BuildKit."""
    words = [word for item in (arguments or {}).items() for word in ("--build-arg", "=".join(item))]
    return docker("build", "-t", name, *words, str(context), check=False, timeout=900)


@contextmanager
def built_with(extras: str) -> Iterator[str]:
    """Build the image of this checkout with extras, ``a,b``; it is gone afterwards."""
    require()
    name = unique()
    built = build(name, arguments={"EXTRAS": extras})
    assert built.returncode == 0, built.stdout + built.stderr
    try:
        yield name
    finally:
        docker("rmi", "--force", name)


def run(image: str, *command: str, options: Sequence[str] = (), timeout: float = 120) -> Finished:
    """Run a container to its end, in the foreground, and remove it, whatever happens."""
    name = unique()
    try:
        return docker("run", "--name", name, *options, image, *command, check=False, timeout=timeout)
    finally:
        docker("rm", "-f", "-v", name, check=False)


@contextmanager
def running(image: str, *command: str, options: Sequence[str] = ()) -> Iterator[Container]:
    """Run a container for the length of a with-block."""
    container = Container(unique())
    try:
        docker("run", "-d", "--name", container.name, *options, image, *command)
        yield container
    finally:
        docker("rm", "-f", "-v", container.name, check=False)


@contextmanager
def serving(image: str, model_dir: Path, *options: str) -> Iterator[Container]:
    """Run `serve` as the platform does, the model read only, until the with-block ends; it is ready."""
    mounts = ("-v", f"{model_dir}:/opt/ml/model:ro", "-p", f"127.0.0.1:0:{PORT}")
    with running(image, "serve", options=[*mounts, *options]) as container:
        container.wait_ready()
        yield container


class Container:
    """A container of ours, by its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def url(self) -> str:
        """Where the port that was published is reached from here."""
        return "http://" + docker("port", self.name, f"{PORT}/tcp").stdout.split()[0]

    def log(self) -> str:
        """Return all it has written, standard output first."""
        result = docker("logs", self.name)
        return result.stdout + result.stderr

    def records(self) -> list[dict[str, Any]]:
        """Return the log's JSON lines."""
        logs = docker("logs", self.name)
        return [*json_lines(logs.stdout), *json_lines(logs.stderr)]

    def python(self, code: str, *arguments: str) -> str:
        """Run Python code inside it and return what that printed."""
        return docker("exec", self.name, "python3", "-c", code, *arguments).stdout.strip()

    def state(self) -> dict[str, Any]:
        """Return what the engine knows of its state: Running, ExitCode, OOMKilled, …"""
        state: dict[str, Any] = json.loads(docker("inspect", "-f", "{{json .State}}", self.name).stdout)
        return state

    def wait(self, seconds: float) -> int:
        """Wait for its end and return the exit code."""
        wait_until(lambda: not self.state()["Running"], seconds, f"the end of {self.name}")
        return int(self.state()["ExitCode"])

    def wait_for_log(self, text: str, seconds: float = 60.0) -> None:
        """Wait for the text to be written."""
        wait_until(lambda: text in self.log() or not self.state()["Running"], seconds, f"{text!r} in the log")
        assert text in self.log(), self.log()

    def ping(self) -> int:
        """Return the status of GET /ping, 0 where nothing answers."""
        try:
            return requests.get(f"{self.url}/ping", timeout=2).status_code
        except (requests.RequestException, subprocess.CalledProcessError):
            return 0

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Wait for /ping to answer 200; fail with the log if the server ends first."""

        def is_ready() -> bool:
            assert self.state()["Running"], self.log()
            return self.ping() == 200

        wait_until(is_ready, seconds, "a good /ping")

    def stop(self, seconds: int) -> int:
        """Stop it as the platform does, SIGTERM and after so many seconds SIGKILL; return the exit code."""
        docker("stop", "-t", str(seconds), self.name)
        return int(self.state()["ExitCode"])

    def post(self, body: bytes | str, content_type: str = "text/csv", **headers: str) -> requests.Response:
        """POST /invocations."""
        return requests.post(
            f"{self.url}/invocations", data=body, headers={"Content-Type": content_type, **headers}, timeout=100
        )


def give_back(image: str, folder: Path) -> None:
    """Make all that containers wrote below the folder, as root, the property of who runs the tests."""
    if os.geteuid() != 0:
        options = ("-v", f"{folder}:/folder", "--entrypoint", "chown")
        run(image, "-R", f"{os.geteuid()}:{os.getegid()}", "/folder", options=options)


def unique() -> str:
    """Return a name that no other container or image has."""
    return f"byoc-test-{uuid.uuid4().hex[:12]}"


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
    return unavailable("no docker client that can build (buildx is missing)")


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
