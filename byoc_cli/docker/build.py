"""`byoc docker build`: makes an image from a user's file and its folder, on a base of the user's choice."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import click
from click.core import ParameterSource

from byoc_cli.commands import Runner, output_of
from byoc_cli.docker import layers
from byoc_cli.docker.base import base_option, dry_run_option, ensure_base
from byoc_cli.docker.client import find_builder
from byoc_cli.docker.description import Description, describe
from byoc_cli.docker.dockerfile import Code
from byoc_cli.docker.reference import PULLED, image_option
from byoc_cli.repository import repository_root

PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9]+)?")
MB = 1_000_000
EPILOG = """\b
Examples:
  byoc docker build -i churn -e src/handler.py
  byoc docker build -i churn -e src/handler.py -em Model.handle -w 2
  byoc docker build -i churn -e src/handler.py -d src/Dockerfile
  byoc docker build -i digits -e digits/handler.py --extra torch --base-image nvidia/cuda:12.8.1-base-ubuntu24.04
  byoc docker build -i models                  no code: answers with any model that is known by its files
  byoc docker build -i churn -e src/handler.py --dry-run
"""


def read_extras(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> Sequence[str]:
    """Names of extras, each option one or several with commas between; each once, in order."""
    known = sorted(path.stem for path in (repository_root() / "container" / "extras").glob("*.txt"))
    names = [name.strip() for value in values for name in value.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise click.BadParameter(f"there is no extra {name!r}; there are: {', '.join(known)}")
    return list(dict.fromkeys(names))


def read_platform(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """OS/ARCHITECTURE, and perhaps a variant."""
    if not PLATFORM.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no platform; write it as in linux/amd64")
    return value


def read_method(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """Return `handle`, or `Class.handle`."""
    names = value.split(".") if value else []
    if len(names) > 2 or not all(name.isidentifier() for name in names):  # noqa: PLR2004 - a class and its method
        raise click.BadParameter(f"{value!r} is no method; write it as in handle or Model.handle")
    return value


def read_command(_ctx: click.Context, _param: click.Parameter, value: str) -> Sequence[str]:
    """Return the words of a command; quotes keep some together, nothing else means anything."""
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no command: {error}") from error
    if not words:
        raise click.BadParameter("name a command, as in serve")
    return words


@click.command("build", epilog=EPILOG)
@image_option
@click.option(
    "-e",
    "--entry-point",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Your .py file; its folder goes into the image, but for what .dockerignore names.",
)
@click.option(
    "-d",
    "--dockerfile",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Your own Dockerfile, taken as the base; its folder is the context.",
)
@click.option(
    "-c", "--command", default="serve", show_default=True, callback=read_command, help="What the image runs by default."
)
@click.option(
    "-w",
    "--worker-count",
    type=click.IntRange(min=1),
    help="Processes that predict. [default: one a CPU, as memory goes]",
)
@click.option(
    "-em",
    "--entry-point-method",
    "method",
    default="",
    callback=read_method,
    help="Method of the file that answers: handle, or Class.handle. [default: found out]",
)
@click.option(
    "-u",
    "--use-shell",
    type=bool,
    is_flag=False,
    flag_value="true",
    default=True,
    metavar="[true|false]",
    help="Show all that Docker says. [default: true]",
)
@click.option("--no-use-shell", is_flag=True, help="Show only that it goes on; the same as --use-shell false.")
@base_option
@click.option(
    "--extra",
    "extras",
    multiple=True,
    metavar="NAME,…",
    callback=read_extras,
    help="What else the image can do: torch, …",
)
@click.option("--platform", default="linux/amd64", show_default=True, callback=read_platform, help="What it runs on.")
@dry_run_option
@click.pass_context
def build_command(
    ctx: click.Context,
    *,
    image: str,
    entry_point: Path | None,
    dockerfile: Path | None,
    command: Sequence[str],
    worker_count: int | None,
    method: str,
    use_shell: bool,
    no_use_shell: bool,
    base_image: str,
    extras: Sequence[str],
    platform: str,
    dry_run: bool,
) -> None:
    """Make an image from your code: the file that answers requests, its folder, its requirements.txt."""
    folder = None if entry_point is None else code_folder(entry_point)
    check_together(ctx, entry_point, dockerfile, method, base_image)
    client, runner = find_builder(), Runner(dry_run)
    builder = layers.Builder(client, runner, platform, whole=use_shell and not no_use_shell)
    if dockerfile is None:
        ensure_base(client, base_image, runner)
        base = base_image
    else:
        base = builder.base(dockerfile)
        if dry_run:
            click.echo("# of that base its labels are kept, and a CMD that the Dockerfile sets")
    runtime = builder.runtime(base, extras)
    kept = None if dockerfile is None or given(ctx, "command") else builder.own_command(base, dockerfile)
    code = Code(
        folder, entry_point.name if entry_point else "", method, worker_count, kept or command, commit_of(folder)
    )
    labels = {} if dockerfile is None else builder.own_labels(base, runtime)
    builder.image(image, runtime, code, labels)
    if dry_run:
        return
    found = describe(client, image)
    if found.bidirectional_streaming:
        builder.image(image, runtime, code, {layers.STREAMING_LABEL: "true", **labels})
    report(image, client.image_size(image) or 0, found)


def given(ctx: click.Context, name: str) -> bool:
    """Whether the user typed this option."""
    return ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE


def check_together(
    ctx: click.Context, entry_point: Path | None, dockerfile: Path | None, method: str, base_image: str
) -> None:
    """Refuse options that contradict one another."""
    if dockerfile is not None and given(ctx, "base_image"):
        raise click.UsageError("--dockerfile is the base itself: leave --base-image out")
    if entry_point is None and method:
        raise click.UsageError("--entry-point-method names a method of the entry point: add -e FILE.py")
    if dockerfile is None and not PULLED.fullmatch(base_image):
        raise click.UsageError(f"--base-image {base_image!r} cannot name an image; write it as in debian:trixie-slim")
    if entry_point is not None and dockerfile is None and (entry_point.parent / "Dockerfile").is_file():
        click.echo(f"{entry_point.parent / 'Dockerfile'} is not the base; if it should be: -d PATH", err=True)


def code_folder(entry_point: Path) -> Path:
    """Return the folder that is copied, links not followed.

    Raises:
        click.ClickException: it is not one that anybody wants in an image.
    """
    if entry_point.suffix != ".py" or not entry_point.name.isprintable():
        raise click.BadParameter(f"{str(entry_point)!r} is not a .py file", param_hint="--entry-point")
    folder = entry_point.parent.absolute()
    if folder.resolve() in (Path("/"), Path.home().resolve()):
        raise click.BadParameter(
            f"all of {folder} would go into the image; put the file into a folder of its own",
            param_hint="--entry-point",
        )
    return folder


def commit_of(folder: Path | None) -> str:
    """Return the git commit of the folder, marked where it was changed since; "" where it is in no repository."""
    if folder is None or not (commit := output_of(["git", "-C", str(folder), "rev-parse", "--verify", "HEAD"])):
        return ""
    changed = output_of(["git", "-C", str(folder), "status", "--porcelain", "--", "."])
    return f"{commit}-dirty" if changed else commit


def report(image: str, size: int, found: Description) -> None:
    """Say what was built, and what to type next."""
    click.echo(f"\nImage {image}: {size / MB:.0f} MB, {found}")
    name = shlex.quote(image)
    click.echo(
        f"Next:\n"
        f"  byoc docker run-local -i {name} -m MODEL_DIR\n"
        f"  byoc docker invoke-local -b '{{\"instances\": [[1.0, 2.0]]}}'\n"
        f"  byoc docker push -i {name}"
    )
