"""`byoc docker base`: makes sure the base image is there: pulled, or else made from Debian packages."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import click

from byoc_cli.commands import Runner
from byoc_cli.docker.client import Client, find_client

DEFAULT_BASE = "debian:trixie-slim"
APT = Path("/etc/apt")
OS_RELEASE = Path("/etc/os-release")
# Not /tmp, which is often small, or mounted without what debootstrap needs.
SCRATCH = "/var/tmp"  # noqa: S108 - mkdtemp makes a folder of its own in it
CERTIFICATES = Path("/usr/local/share/ca-certificates")
# Caches, texts nobody reads in a container, and what debootstrap copied from this machine.
LEFT_OUT = (
    *("./var/cache/apt/*", "./var/lib/apt/lists/*", "./var/log/*"),
    *("./usr/share/doc/*", "./usr/share/man/*", "./usr/share/locale/*"),
    *("./etc/hostname", "./etc/resolv.conf"),
)

base_option = click.option(
    "--base-image", default=DEFAULT_BASE, envvar="BASE_IMAGE", show_default=True, show_envvar=True, help="Base image."
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Print the commands instead of running them.")


@click.command("base")
@base_option
@dry_run_option
def base_command(base_image: str, dry_run: bool) -> None:
    """Make sure the base image is there: pull it, or make it with debootstrap."""
    ensure_base(find_client(), base_image, Runner(dry_run))


def ensure_base(client: Client, name: str, runner: Runner) -> None:
    """Pull the base image where it is missing, and make it where it cannot be pulled.

    Raises:
        click.ClickException: it can be neither pulled nor made.
    """
    if client.image_size(name) is not None:
        click.echo(f"{'# ' if runner.dry_run else ''}Base image {name} is there.")
        return
    pull = [client.path, "pull", name]
    if runner.dry_run:
        runner.show(pull)
        click.echo("# and, should that fail:")
    elif subprocess.run(pull, check=False).returncode == 0:
        return
    make_base(client, name, runner)


def make_base(client: Client, name: str, runner: Runner) -> None:
    """Make a Debian image with debootstrap, from the mirror that this machine's own apt uses.

    Raises:
        click.ClickException: the name isn't Debian's, or a step failed.
    """
    suite = debian_suite(name)
    as_root = root_prefix()
    # Where debootstrap lives, and what it calls: not always on a user's PATH.
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    if shutil.which("debootstrap", path=path) is None:
        if shutil.which("apt-get") is None:
            raise click.ClickException(f"{name} can neither be pulled nor, without apt-get, be made; check the network")
        runner.follow([*as_root, "apt-get", "update"])
        runner.follow([*as_root, "apt-get", "install", "-y", "--no-install-recommends", "debootstrap"])
    if not runner.dry_run:
        click.echo(f"{name} cannot be pulled: making it with debootstrap (about two minutes)")
    with scratch_folder(as_root, runner) as folder:
        root = f"{folder}/root"
        mirror = debian_mirror(APT, OS_RELEASE)
        debootstrap = ["debootstrap", "--variant=minbase", suite, root, *([mirror] if mirror else [])]
        runner.follow([*as_root, "env", f"PATH={path}", *debootstrap])
        # A strict umask of ours would shut other users out of the image.
        runner.run([*as_root, "chmod", "755", root])
        if certificates := sorted(str(path) for path in CERTIFICATES.glob("*.crt")):
            target = root + str(CERTIFICATES)
            runner.run([*as_root, "mkdir", "-p", target])
            runner.run([*as_root, "cp", *certificates, target])
        left_out = [f"--exclude={pattern}" for pattern in LEFT_OUT]
        tar = [*as_root, "tar", "--create", "--numeric-owner", *left_out, "--directory", root, "."]
        runner.pipe(tar, [client.path, "import", "--change", 'CMD ["bash"]', "-", name])


def debian_suite(name: str) -> str:
    """`trixie` of `debian:trixie-slim`.

    Raises:
        click.ClickException: the image isn't one of Debian's.
    """
    match = re.fullmatch(r"(?:docker\.io/)?(?:library/)?debian:([a-z]+)(?:-slim)?", name)
    if not match:
        raise click.ClickException(
            f"base image {name} cannot be pulled; check its name and the network (only debian:SUITE can be made here)"
        )
    return match[1]


def debian_mirror(apt: Path, os_release: Path) -> str | None:
    """Return the first Debian archive that apt uses, if this is Debian; else None, for debootstrap's own default.

    Another system's mirror has other packages, and the security archive is no whole one.
    """
    if re.search(r"^ID=\"?debian\b", read(os_release), re.MULTILINE):
        for uri, suite in apt_sources(apt):
            if urlsplit(uri).scheme in {"http", "https"} and "security" not in suite:
                return uri
    return None


def apt_sources(apt: Path) -> Iterator[tuple[str, str]]:
    """Every (URI, suite) of apt's sources, in both of apt's formats."""
    folder = apt / "sources.list.d"
    for path in [apt / "sources.list", *sorted(folder.glob("*.list"))]:
        for line in read(path).splitlines():
            if match := re.match(r"deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", line):
                yield match[1], match[2]
    for path in sorted(folder.glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", read(path)):
            fields = {key.lower(): value.split() for key, value in re.findall(r"^([\w-]+):(.*)$", stanza, re.MULTILINE)}
            if "deb" in fields.get("types", []) and fields.get("enabled", ["yes"]) != ["no"]:
                yield from ((uri, suite) for uri in fields.get("uris", []) for suite in fields.get("suites", []))


def read(path: Path) -> str:
    """Return the text of the file; empty where there is none to read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def root_prefix() -> Sequence[str]:
    """Return what makes a command run as root.

    Raises:
        click.ClickException: we aren't root and there is no sudo.
    """
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo"):
        return ["sudo"]
    raise click.ClickException("making a base image needs root: run it as root, or install sudo")


@contextmanager
def scratch_folder(as_root: Sequence[str], runner: Runner) -> Iterator[str]:
    """Lend a folder that is gone afterwards, with all that root put into it."""
    if runner.dry_run:
        yield f"{SCRATCH}/byoc-base"
        return
    folder = tempfile.mkdtemp(prefix="byoc-base-", dir=SCRATCH)
    try:
        yield folder
    finally:
        # Were /proc still mounted in it after a failure, it would be left alone.
        subprocess.run([*as_root, "rm", "-rf", "--one-file-system", folder], check=False)
