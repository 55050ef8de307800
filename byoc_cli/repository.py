"""Where the repository is: the folder of the editable install, or else the current one."""

from pathlib import Path

import click

LANDMARKS = ("container/Dockerfile", "local_test/train_local.sh")


def repository_root() -> Path:
    """Return the repository's folder.

    Raises:
        click.ClickException: neither this package nor the current folder lies in a repository like ours.
    """
    here = Path.cwd()
    for folder in (Path(__file__).resolve().parent.parent, here, *here.parents):
        if all((folder / landmark).is_file() for landmark in LANDMARKS):
            return folder
    raise click.ClickException(
        f"{here} isn't in a clone of this repository (there is no {LANDMARKS[0]}); change into your clone and try again"
    )
