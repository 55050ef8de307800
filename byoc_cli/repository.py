"""Where the repository is: the folder of the editable install, or else the current one, or what the package brought."""

from pathlib import Path

import click

IMAGE = "container/Dockerfile"
# What `pip install .` copies of the repository into the package, see setup.py.
SHIPPED = "shipped"


def repository_root(landmark: str = IMAGE) -> Path:
    """Return the repository's folder; installed by pip and outside any clone, the part of it that came along.

    Args:
        landmark: a file that must be there.

    Raises:
        click.ClickException: there is none with that file.
    """
    package, here = Path(__file__).resolve().parent, Path.cwd()
    for folder in (package.parent, here, *here.parents):
        if (folder / IMAGE).is_file() and (folder / "byoc_cli").is_dir() and (folder / landmark).is_file():
            return folder
    if (package / SHIPPED / landmark).is_file():
        return package / SHIPPED
    raise click.ClickException(
        f"{here} isn't in a clone of this repository (there is no {landmark}); change into your clone and try again"
    )
