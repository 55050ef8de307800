"""The names of images, as Docker has them: [registry/]name[:tag][@digest]."""

import re

import click

WORD = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
HOST = r"[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?"
TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
IMAGE = re.compile(rf"(?:{HOST}/)?{WORD}(?:/{WORD})*(?::{TAG})?", re.ASCII)
PULLED = re.compile(rf"{IMAGE.pattern}(?:@sha256:[0-9a-f]{{64}})?", re.ASCII)


def read_reference(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """Return an image's name as it is, unless Docker or a shell might read it as something else."""
    if not IMAGE.fullmatch(value):
        raise click.BadParameter(
            f"{value!r} cannot name an image: lower-case letters and digits, with single . _ - or / between them, "
            "and perhaps a tag, as in models/churn:1.4"
        )
    return value


image_option = click.option(
    "-i",
    "--image-name",
    "image",
    metavar="NAME[:TAG]",
    required=True,
    callback=read_reference,
    help="Name of the image.",
)
