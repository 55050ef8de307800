"""`byoc sagemaker`: train, deploy, ask and clean up, on AWS or on the emulator.

A command makes its calls by `cloud.Cloud`, which prints them in a dry run and explains what AWS refuses
(`errors`, `permissions`). What a call's parameters are is in `training_job`, `model`, `hosting` and `transform_job`;
`watch` waits, `log_tail` reads logs, `bucket` moves data.
"""

import click

from byoc_cli.sagemaker.autoscale import autoscale_command
from byoc_cli.sagemaker.create_endpoint import create_endpoint_command
from byoc_cli.sagemaker.delete_endpoint import delete_endpoint_command
from byoc_cli.sagemaker.status import status_command
from byoc_cli.sagemaker.stop import stop_command
from byoc_cli.sagemaker.test_endpoint import test_endpoint_command
from byoc_cli.sagemaker.train import train_command
from byoc_cli.sagemaker.transform import transform_command
from byoc_cli.sagemaker.update_endpoint import update_endpoint_command

EPILOG = """\b
Examples:
  byoc sagemaker train -i churn --data rows.csv -hp max_iter=200
  byoc sagemaker create-endpoint --training-job NAME --endpoint-name churn
  byoc sagemaker test-endpoint churn -mm text/csv -b @rows.csv -n 100
  byoc sagemaker delete-endpoint churn --all

\b
On this machine instead of AWS:
  byoc emulator start --background
  eval "$(byoc emulator env)"
"""


@click.group(epilog=EPILOG)
def sagemaker() -> None:
    """Train, deploy and ask on Amazon SageMaker, or on the emulator."""


for command in (
    train_command,
    create_endpoint_command,
    test_endpoint_command,
    update_endpoint_command,
    transform_command,
    autoscale_command,
    status_command,
    stop_command,
    delete_endpoint_command,
):
    sagemaker.add_command(command)
