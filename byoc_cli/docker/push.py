"""`byoc docker push`: to Amazon ECR, by build_and_push.sh itself."""

import shutil
import subprocess

import click

from byoc_cli.docker.base import dry_run_option
from byoc_cli.docker.reference import image_option
from byoc_cli.repository import repository_root

SCRIPT = "build_and_push.sh"
EPILOG = """\b
Examples:
  byoc docker push -i churn                    to the repository churn, as latest and by its git commit
  byoc docker push -i models/churn:1.4 -r eu-west-1
  byoc docker push -i churn --dry-run          print the commands, ready to paste
  AWS_PROFILE=team byoc docker push -i churn

\b
Environment: AWS_ACCOUNT_ID, AWS_REGION, ECR_REGISTRY, DOCKER, as build_and_push.sh --help tells.
"""


@click.command("push", epilog=EPILOG)
@image_option
@click.option("-r", "--region", help="AWS region. [default: AWS_REGION, AWS_DEFAULT_REGION, then `aws configure`'s]")
@dry_run_option
def push_command(image: str, region: str | None, *, dry_run: bool) -> None:
    """Push an image to Amazon ECR; the repository is made where it is missing.

    The tags are the git commit of the code, that of the image's name, and latest.
    """
    bash = shutil.which("bash")
    if bash is None:
        raise click.ClickException(f"{SCRIPT}, which does the work, needs bash; install it")
    words = ["--image", image, *([f"--region={region}"] if region else []), *(["--dry-run"] if dry_run else []), image]
    command = [bash, str(repository_root() / SCRIPT), *words]
    code = subprocess.run(command, check=False).returncode
    if code:
        raise SystemExit(code)  # its last line has said why
