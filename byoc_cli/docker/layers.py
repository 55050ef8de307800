"""The images that stand on one another: the user's own base, the runtime on it, the user's code on that."""

import hashlib
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from byoc_cli.commands import Runner
from byoc_cli.docker import dockerfile as dockerfiles
from byoc_cli.docker.client import Client
from byoc_cli.docker.failure import printed, reason
from byoc_cli.repository import repository_root

STREAMING_LABEL = "com.amazonaws.sagemaker.capabilities.bidirectional-streaming"
REVISION_LABEL = "org.opencontainers.image.revision"
AWS_CREDENTIALS = Path(".aws", "credentials")
NAME_LENGTH = 40
SHOWN_LINES = 20


@dataclass(frozen=True)
class Builder:
    """Builds images with BuildKit.

    Attributes:
        client: builds.
        runner: runs the client, or prints what it would run.
        platform: what the images run on.
        whole: whether all that Docker says is shown.
    """

    client: Client
    runner: Runner
    platform: str
    whole: bool

    def base(self, dockerfile: Path) -> str:
        """Build the user's own Dockerfile in its folder; return the image's name."""
        path = dockerfile.absolute()
        name = f"byoc-base:{short_name(path.parent.name)}-{digest(str(path), self.platform)}"
        command = ["--tag", name, "--file", str(path)]
        # As superai's build had it; a Dockerfile that doesn't ask for the secret doesn't get it.
        if (credentials := Path.home() / AWS_CREDENTIALS).is_file():
            command += ["--secret", f"id=aws,src={credentials}"]
        self._build(f"the base, {dockerfile}", [*command, str(path.parent)])
        return name

    def runtime(self, base: str, extras: Sequence[str]) -> str:
        """Build our container/ on a base; return the image's name, the same for the same base and extras."""
        name = f"byoc-runtime:{short_name(base)}-{digest(base, ','.join(extras), self.platform)}"
        arguments = [f"BASE_IMAGE={base}", *([f"EXTRAS={','.join(extras)}"] if extras else [])]
        build_args = [word for argument in arguments for word in ("--build-arg", argument)]
        what = f"the runtime on {base}" + (f", with {', '.join(extras)}" if extras else "")
        self._build(what, ["--tag", name, *build_args, str(repository_root() / "container")])
        return name

    def image(self, name: str, runtime: str, code: dockerfiles.Code, labels: Mapping[str, str]) -> None:
        """Build the user's code on the runtime."""
        revision = {REVISION_LABEL: code.commit} if code.commit else {}
        # By flags, not in the Dockerfile: a label may hold any text.
        flags = [word for item in {**revision, **labels}.items() for word in ("--label", "=".join(item))]
        files = {"Dockerfile": dockerfiles.generate(runtime, code)}
        if code.folder is not None and not (code.folder / ".dockerignore").exists():
            files["Dockerfile.dockerignore"] = dockerfiles.IGNORED
        with self._written(files) as folder:
            command = ["--tag", name, *flags, "--file", f"{folder}/Dockerfile"]
            self._build(name, [*command, str(code.folder or folder)])

    def own_command(self, base: str, dockerfile: Path) -> Sequence[str] | None:
        """Return the CMD that the user's Dockerfile itself sets, else None."""
        if not dockerfiles.sets_command(dockerfile.read_text(encoding="utf-8", errors="replace")):
            return None
        return self._config(base).get("Cmd") or None

    def own_labels(self, base: str, runtime: str) -> Mapping[str, str]:
        """Return the labels of the user's base that ours covered."""
        ours = self._config(runtime).get("Labels") or {}
        theirs = self._config(base).get("Labels") or {}
        return {name: value for name, value in theirs.items() if ours.get(name) != value}

    def _config(self, image: str) -> Mapping[str, Any]:
        return (self.client.inspect(image) or {}).get("Config") or {}

    def _build(self, what: str, arguments: Sequence[str]) -> None:
        if not self.runner.dry_run:
            click.secho(f"==> build {what}", bold=True)

        def explain(lines: Sequence[str]) -> str:
            if not self.whole:
                click.echo("\n".join(f"  {line}" for line in printed(lines)[-SHOWN_LINES:]), err=True)
            return f"{what} isn't built: {reason(lines)}"

        command = [*self.client.build_command(self.platform), *arguments]
        self.runner.follow(command, self.client.build_env, whole=self.whole, explain=explain)

    @contextmanager
    def _written(self, files: dict[str, str]) -> Iterator[str]:
        if self.runner.dry_run:
            folder = f"{tempfile.gettempdir()}/byoc-build"
            click.echo(dockerfiles.as_script(folder, files))
            yield folder
            return
        with tempfile.TemporaryDirectory(prefix="byoc-build-") as folder:
            for name, text in files.items():
                Path(folder, name).write_text(text, encoding="utf-8")
            yield folder


def short_name(text: str) -> str:
    """Return what of a name may stand in a tag."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[-NAME_LENGTH:].strip("-") or "base"


def digest(*parts: str) -> str:
    """Eight digits that differ where the parts do."""
    return hashlib.sha256(shlex.join(parts).encode()).hexdigest()[:8]
