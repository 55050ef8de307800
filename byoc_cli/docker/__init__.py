"""`byoc docker`: images, from a user's code or from container/, and how to run, ask and push them."""

import click

from byoc_cli.docker.base import base_command
from byoc_cli.docker.build import build_command
from byoc_cli.docker.image import image_command
from byoc_cli.docker.invoke_local import invoke_local_command
from byoc_cli.docker.push import push_command
from byoc_cli.docker.run_local import run_local_command

EPILOG = """\b
Examples:
  byoc docker build -i churn -e src/handler.py      an image from your code
  byoc docker run-local -i churn -m model.tar.gz    serve a model with it, on port 8080
  byoc docker invoke-local -b '{"instances": [[1.0, 2.0]]}'
  byoc docker push -i churn:1.4 -r eu-west-1        to Amazon ECR
  byoc docker image                                 the image 'byoc', from container/
"""


@click.group(epilog=EPILOG)
def docker() -> None:
    """Build images, run them here, push them."""


for command in (build_command, push_command, run_local_command, invoke_local_command, image_command, base_command):
    docker.add_command(command)
