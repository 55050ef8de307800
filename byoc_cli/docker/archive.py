"""model.tar.gz, unpacked as SageMaker does, once it is known that nothing in it reaches beyond its folder."""

import shutil
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import click

MOST_FILES = 100_000
# What is left of the disk for everybody else.
RESERVE = 256 << 20
FILES = {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.GNUTYPE_SPARSE, tarfile.CONTTYPE}


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a gzip-compressed tar into an empty folder. Owners, times and special modes are left out.

    Raises:
        click.ClickException: it is damaged or no such archive; or something in it has a path or a link that leaves
            the folder, is a device, or is too large for the disk. Then nothing was written.
    """
    free = shutil.disk_usage(folder).free - RESERVE
    try:
        with opened(archive) as tar:
            members = list(checked(archive, tar, free))
        with opened(archive) as tar:
            for member in members:
                write(tar, member, folder)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise click.ClickException(f"{archive} cannot be unpacked: {error}") from error
        raise click.ClickException(
            f"{archive} is damaged, or no gzip-compressed tar, which is what SageMaker takes ({error}); make it by: "
            "tar -czf model.tar.gz -C MODEL_DIR ."
        ) from error


@contextmanager
def opened(archive: Path) -> Iterator[tarfile.TarFile]:
    """Read an archive."""
    with tarfile.open(archive, "r:gz") as tar:
        yield tar


def checked(archive: Path, tar: tarfile.TarFile, free: int) -> Iterator[tarfile.TarInfo]:
    """Give the archive's members, once each of them has passed.

    Raises:
        click.ClickException: one has not.
    """
    members: list[tarfile.TarInfo] = []
    total = 0
    for member in tar:  # reads on only after the last one's size has passed
        total += max(member.size, 0)
        if total > free:
            raise refused(
                archive, member, f"would take {total:,} bytes so far, and the disk has {max(free, 0):,} to spare"
            )
        if len(members) == MOST_FILES:
            raise refused(archive, member, f"is one of more than {MOST_FILES:,} files")
        if problem := fault(member):
            raise refused(archive, member, problem)
        members.append(member)
    if member_and_problem := clash(members):
        raise refused(archive, *member_and_problem)
    yield from members


def refused(archive: Path, member: tarfile.TarInfo, problem: str) -> click.ClickException:
    """Say what of the archive is not acceptable."""
    return click.ClickException(f"{archive} is refused, and nothing of it was unpacked: {member.name!r} {problem}")


def fault(member: tarfile.TarInfo) -> str:
    """Return what is wrong with a member by itself; "" where nothing is."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or "\\" in member.name or "\0" in member.name:
        return "is an absolute path, or one of Windows"
    if ".." in path.parts:
        return "leads out of its folder"
    if member.type not in FILES and not (member.isdir() or member.issym() or member.islnk()):
        return "is a device or a pipe"
    if member.issym() and leaves(path, PurePosixPath(member.linkname)):
        return f"is a link to {member.linkname!r}, outside its folder"
    return ""


def leaves(link: PurePosixPath, target: PurePosixPath) -> bool:
    """Whether a symbolic link may lead out of the folder.

    Steps up are counted where they come first, from a folder that is no link itself; one that comes after a name
    could start from wherever that name leads.
    """
    ups = [part == ".." for part in target.parts]
    first = ups.index(False) if False in ups else len(ups)
    return target.is_absolute() or any(ups[first:]) or first > len(link.parts) - 1


def clash(members: Sequence[tarfile.TarInfo]) -> tuple[tarfile.TarInfo, str] | None:
    """Return the first member that is in order only by itself, and why."""
    links = {key(member.name) for member in members if member.issym()}
    files: set[tuple[str, ...]] = set()
    seen: set[tuple[str, ...]] = set()
    for member in members:
        name = key(member.name)
        if any(name[:length] in links for length in range(1, len(name))):
            return member, "lies behind a link"
        if name in seen and not member.isdir():
            return member, "is there twice"
        if member.islnk() and key(member.linkname) not in files:
            return member, f"is a link to {member.linkname!r}, which is no file before it"
        seen.add(name)
        if member.type in FILES or member.islnk():
            files.add(name)
        elif name in files:
            return member, "is there twice"
    return None


def key(name: str) -> tuple[str, ...]:
    """Return a path as file systems compare it that do not tell capitals."""
    return tuple(part.casefold() for part in PurePosixPath(name).parts)


def write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Unpack a member that has passed."""
    path = folder / member.name
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if member.issym():
        path.symlink_to(member.linkname)
    elif member.islnk():
        path.hardlink_to(folder / member.linkname)
    else:
        source = tar.extractfile(member)
        assert source is not None
        with source, path.open("xb") as target:
            shutil.copyfileobj(source, target)
        path.chmod(0o755 if member.mode & 0o111 else 0o644)
