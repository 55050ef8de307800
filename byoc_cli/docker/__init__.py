"""`byoc docker`: the image and the base it stands on."""

import click

from byoc_cli.docker.base import base_command
from byoc_cli.docker.image import image_command

EPILOG = """\b
Examples:
  byoc docker image                          build the image 'byoc'
  byoc docker image --name iris --dry-run    print the commands instead
  byoc docker base                           only fetch or make the base image
"""


@click.group(epilog=EPILOG)
def docker() -> None:
    """Build the image."""


docker.add_command(base_command)
docker.add_command(image_command)
