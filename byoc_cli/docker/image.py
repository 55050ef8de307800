"""`byoc docker image`: builds the image on its base and says what it weighs."""

import click

from byoc_cli.commands import Runner, output_of
from byoc_cli.docker.base import base_option, dry_run_option, ensure_base
from byoc_cli.docker.client import Client, find_builder
from byoc_cli.repository import repository_root


@click.command("image")
@click.option("--name", default="byoc", show_default=True, help="Name of the image, with or without a tag.")
@base_option
@dry_run_option
def image_command(name: str, base_image: str, dry_run: bool) -> None:
    """Build the image from container/, with BuildKit."""
    root = repository_root()
    runner = Runner(dry_run)
    client = find_builder()
    ensure_base(client, base_image, runner)
    # Where a package was installed there may be a repository too, but it isn't this one.
    commit = (output_of(["git", "-C", str(root), "rev-parse", "HEAD"]) if (root / ".git").exists() else "") or "unknown"
    arguments = [f"BASE_IMAGE={base_image}", f"GIT_COMMIT={commit}"]
    build_args = [word for argument in arguments for word in ("--build-arg", argument)]
    runner.run([client.path, "build", "--tag", name, *build_args, str(root / "container")], client.build_env)
    if not dry_run:
        click.echo(weight(client, name, base_image))


def weight(client: Client, name: str, base_image: str) -> str:
    """One line: how many MB the image has, and how many of them it adds to its base."""
    size, base_size = client.image_size(name), client.image_size(base_image)
    if size is None or base_size is None:
        raise click.ClickException(f"the build ended well, yet {client.path} cannot see the image {name}")
    total, added = size / 1_000_000, (size - base_size) / 1_000_000
    return f"Image {name}: {total:.0f} MB, of which {added:.0f} MB on top of {base_image}"
