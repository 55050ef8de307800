"""Options that several commands have."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

import click

from byoc_cli.docker.reference import IMAGE, TAG
from byoc_cli.sagemaker.cloud import Cloud

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Command = Callable[..., None]

NAME = re.compile(r"[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62}")
NOT_OF_AN_IMAGE = "--image-uri is a whole name, registry and all: leave --image-name and --version out"


def cloud_options(command: Command) -> Command:
    """Give a command its `cloud`, by the options that say which and how."""

    @click.option("-r", "--region", help="AWS region. [default: AWS_REGION, AWS_DEFAULT_REGION, the profile's]")
    @click.option("--profile", help="Profile of ~/.aws. [default: AWS_PROFILE]")
    @click.option("--dry-run", is_flag=True, help="Print the API calls that would change something; make none of them.")
    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @functools.wraps(command)
    def with_cloud(region: str | None, profile: str | None, *, dry_run: bool, as_json: bool, **rest: Any) -> None:
        command(Cloud(region, profile, dry_run=dry_run, as_json=as_json), **rest)

    return with_cloud


def wait_option(command: Command) -> Command:
    """Let a command end at once."""
    return click.option("--no-wait", is_flag=True, help="Do not wait for the end.")(command)


def role_option(command: Command) -> Command:
    """Let the role be named that SageMaker takes on."""
    text = "Role that SageMaker takes on. [default: SAGEMAKER_ROLE, AWS_ROLE_ARN, the notebook's own]"
    return click.option("--arn", "role", metavar="ROLE", help=text)(command)


def image_options(command: Command) -> Command:
    """Let an image be named: `image` is an ImageName or None."""

    @click.option("-i", "--image-name", metavar="NAME[:TAG]", help="Image in your account's registry.")
    @click.option("-v", "--version", "tag", metavar="TAG", help="The image's tag. [default: latest]")
    @click.option("--image-uri", metavar="URI", help="Image by its whole name, registry and all.")
    @functools.wraps(command)
    def with_image(image_name: str | None, tag: str | None, image_uri: str | None, **rest: Any) -> None:
        command(image=Image(image_name, tag, image_uri), **rest)

    return with_image


class Image:
    """An image as it was named on the command line.

    Args:
        name: in the account's registry, perhaps with a tag.
        tag: of it.
        uri: the whole name, in place of both.

    Raises:
        click.UsageError: they contradict each other, or Docker takes no such name.
    """

    def __init__(self, name: str | None, tag: str | None, uri: str | None) -> None:
        if uri and (name or tag):
            raise click.UsageError(NOT_OF_AN_IMAGE)
        if tag and not name:
            raise click.UsageError("--version is the tag of an image: add --image-name NAME")
        if name and not IMAGE.fullmatch(name):
            raise click.BadParameter(
                f"{name!r} cannot name an image; write it as in models/churn:1.4", param_hint="--image-name"
            )
        if name and tag:
            if ":" in name.rpartition("/")[2]:
                raise click.UsageError(f"{name} has a tag already: leave --version out")
            if not re.fullmatch(TAG, tag):
                raise click.BadParameter(f"{tag!r} cannot be a tag", param_hint="--version")
            name = f"{name}:{tag}"
        self.name = name
        self._uri = uri

    def __bool__(self) -> bool:
        return bool(self.name or self._uri)

    @property
    def stem(self) -> str:
        """The name without registry and tag, to make others of."""
        whole = (self.name or self._uri or "").partition("@")[0].rpartition("/")[2]
        return whole.partition(":")[0]

    @property
    def local(self) -> str:
        """What the image is probably called on this machine."""
        whole = self.name or self._uri or ""
        first, _, rest = whole.partition("/")
        return rest if rest and ("." in first or ":" in first) else whole

    def uri(self, cloud: Cloud) -> str:
        """Return what SageMaker is to call it."""
        if self._uri:
            return self._uri
        name = self.name or ""
        return f"{cloud.registry}/{name if ':' in name.rpartition('/')[2] else f'{name}:latest'}"


def endpoint_argument(command: Command) -> Command:
    """Let the endpoint be named, as an argument or by --endpoint-name: `endpoint_name`."""

    @click.argument("argument", metavar="ENDPOINT", required=False)
    @click.option(
        "-e", "--endpoint-name", "by_option", metavar="NAME", help="The endpoint, if you like options better."
    )
    @functools.wraps(command)
    def with_endpoint(argument: str | None, by_option: str | None, **rest: Any) -> None:
        if bool(argument) == bool(by_option):
            raise click.UsageError("name one endpoint; byoc sagemaker status lists them")
        command(endpoint_name=argument or by_option, **rest)

    return with_endpoint


def read_name(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Return a name that SageMaker takes."""
    if value is not None and not NAME.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no name; 1 to 63 letters, digits and single - between them")
    return value


def read_pairs(_ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """Return what was given as NAME=VALUE, each name once."""
    pairs: dict[str, str] = {}
    for value in values:
        name, sign, rest = value.partition("=")
        if not name or not sign:
            raise click.BadParameter(f"{value!r} is no pair; write it as {param.metavar}")
        if name in pairs:
            raise click.BadParameter(f"{name} is given twice")
        pairs[name] = rest
    return pairs


def env_option(command: Command) -> Command:
    """Let the container's variables be set: `environment`."""
    text = "A variable of the container's."
    return click.option("--env", "environment", multiple=True, metavar="NAME=VALUE", callback=read_pairs, help=text)(
        command
    )


def bucket_option(command: Command) -> Command:
    """Let the bucket be named."""
    return click.option(
        "--bucket",
        envvar="BYOC_BUCKET",
        metavar="NAME",
        help="For uploads and results, below byoc/. [default: BYOC_BUCKET, then sagemaker-REGION-ACCOUNT]",
    )(command)
