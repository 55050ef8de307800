"""What is in an image's layers, also what a later layer has removed."""

from __future__ import annotations

import subprocess
import tarfile
from typing import TYPE_CHECKING

from byoc_cli.doctor.check import Failed
from byoc_cli.doctor.containers import DockerEngine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from byoc_cli.doctor.engine import Engine


def paths(engine: Engine) -> Iterator[str]:
    """Yield the path of each file and folder of each layer, without a slash at its start.

    Raises:
        Failed: the engine cannot save the image.
    """
    assert isinstance(engine, DockerEngine)
    command = [engine.client, "save", engine.image]
    with subprocess.Popen(command, env=engine.environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                for member in archive:
                    layer = archive.extractfile(member)
                    if layer is not None:
                        yield from names(layer)
        except tarfile.ReadError as error:
            raise Failed("the engine could not save the image") from error
        finally:
            process.kill()


def names(layer: object) -> Iterator[str]:
    """Yield the paths of a layer; nothing where the file is none, but a part of the image's description."""
    try:
        with tarfile.open(fileobj=layer, mode="r|*") as archive:  # type: ignore[call-overload]
            for member in archive:
                yield member.name.removeprefix("./")
    except tarfile.ReadError:
        return
