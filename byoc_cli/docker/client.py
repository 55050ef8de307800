"""A Docker client that can do what is asked: the first on PATH may lack BuildKit."""

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from byoc_cli.commands import output_of

INSTALL = "install Docker (https://docs.docker.com/engine/install), or do without it: make demo"
# From 18.09 to 22 the client itself speaks BuildKit; from 23 on the plugin buildx does.
BUILT_IN_BUILDKIT = range(18, 23)


@dataclass(frozen=True)
class Client:
    """A Docker client.

    Attributes:
        path: the program.
        build_env: what its `build` needs in the environment to use BuildKit.
    """

    path: str
    build_env: Mapping[str, str] = field(default_factory=dict)

    def image_size(self, image: str) -> int | None:
        """Return the size in bytes, all layers together; None where the image isn't there."""
        size = output_of([self.path, "image", "inspect", "--format", "{{.Size}}", image])
        return int(size) if size else None

    def inspect(self, image: str) -> dict[str, Any] | None:
        """Return what the engine knows of the image: Config, Size, …; None where the image isn't there."""
        found = output_of([self.path, "image", "inspect", image])
        return dict(json.loads(found)[0]) if found else None

    def build_command(self, platform: str) -> list[str]:
        """Return how `build` makes one image of Docker's own type, as SageMaker takes it, and a log that can be read.

        Attestations would make it an OCI index. Clients that speak BuildKit themselves make none.
        """
        command = [self.path, "build", "--platform", platform, "--progress", "plain"]
        known = output_of([self.path, "build", "--help"]) or ""
        command += [f"{flag}=false" for flag in ("--provenance", "--sbom") if flag in known]
        return command if self.build_env else [*command, "--output", "type=docker"]


def find_client() -> Client:
    """Return the first client, once it has reached a daemon.

    Raises:
        click.ClickException: there is no client, or no daemon answers.
    """
    return reaching_daemon(Client(candidates()[0]))


def find_builder() -> Client:
    """Return the first client that builds with BuildKit, once it has reached a daemon.

    Raises:
        click.ClickException: there is no client, none has BuildKit, or no daemon answers.
    """
    paths = candidates()
    for path in paths:
        env = buildkit_env(path)
        if env is not None:
            return reaching_daemon(Client(path, env))
    raise click.ClickException(
        f"no Docker client here builds with BuildKit (looked at {', '.join(paths)}); "
        "install Docker's buildx plugin, or name another client: DOCKER=/path/to/docker"
    )


def candidates() -> Sequence[str]:
    """DOCKER of the environment alone if set, else every `docker` on PATH, each once."""
    if named := os.environ.get("DOCKER"):
        return [named]
    found: dict[Path, str] = {}
    for folder in os.get_exec_path():
        program = Path(folder, "docker")
        if program.is_file() and os.access(program, os.X_OK):
            found.setdefault(program.resolve(), str(program))
    if not found:
        raise click.ClickException(f"there is no Docker client on PATH; {INSTALL}")
    return list(found.values())


def buildkit_env(path: str) -> Mapping[str, str] | None:
    """Return what `build` of this client needs to use BuildKit; None where it cannot."""
    if output_of([path, "buildx", "version"]) is not None:
        return {}
    version = re.match(r"Docker version (\d+)", output_of([path, "--version"]) or "")
    return {"DOCKER_BUILDKIT": "1"} if version and int(version[1]) in BUILT_IN_BUILDKIT else None


def reaching_daemon(client: Client) -> Client:
    """Return the client, once it has reached a daemon.

    Raises:
        click.ClickException: it doesn't run, or no daemon answers it.
    """
    command = [client.path, "version", "--format", "{{.Server.Version}}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise click.ClickException(f"{client.path} cannot be run ({error.strerror}); {INSTALL}") from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[0]
        raise click.ClickException(f"no Docker daemon answers ({reason}); start Docker, or do without it: make demo")
    return client
