"""The entry point of `byoc`."""

import click

from byoc_cli.demo import demo
from byoc_cli.docker import docker
from byoc_cli.doctor import doctor
from byoc_cli.emulator.command import emulator
from byoc_cli.sagemaker import sagemaker

EPILOG = """\b
Examples:
  byoc demo                    train, serve and predict without Docker
  byoc docker image            build the image 'byoc'
  byoc demo --engine docker    train, serve and predict with the image
  byoc docker build -i churn -e src/handler.py    an image from your own code
  byoc doctor churn            examine an image by SageMaker's contract
  byoc emulator start --background    SageMaker on this machine
  byoc sagemaker train -i churn --data rows.csv    there, or on AWS
"""


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="byoc", prog_name="byoc")
def main() -> None:
    """Bring your own container to Amazon SageMaker: train, serve, prove and ship it."""


main.add_command(demo)
main.add_command(docker)
main.add_command(doctor)
main.add_command(emulator)
main.add_command(sagemaker)
