"""What an image says of the handler in it, by `serve --describe`."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

import click

from byoc_cli.docker.client import Client
from byoc_cli.docker.failure import complaint


@dataclass(frozen=True)
class Description:
    """The handler.

    Attributes:
        entry_point: its file.
        convention: what kind it is: functions, handle, class, classic.
        found: the names that were found in it.
        bidirectional_streaming: whether it converses.
        trains: whether the file also has a `fit`.
    """

    entry_point: str
    convention: str
    found: Sequence[str]
    bidirectional_streaming: bool = False
    trains: bool = False

    def __str__(self) -> str:
        """As one would say it."""
        training = ", and fit, which `train` runs" if self.trains else ""
        kind = "" if list(self.found) == [self.convention] else f"{self.convention} "
        return f"{kind}{', '.join(self.found)} in {self.entry_point}{training}"


def describe(client: Client, image: str) -> Description:
    """Run the image as SageMaker does, without a network, and return what it says of itself.

    Raises:
        click.ClickException: it doesn't run `serve`; says why.
    """
    command = [client.path, "run", "--rm", "--network", "none", image, "serve", "--describe"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    for line in reversed(done.stdout.splitlines()):
        try:
            said = json.loads(line)
            return Description(**{name: said[name] for name in Description.__dataclass_fields__})
        except (ValueError, KeyError, TypeError):
            continue
    lines = (done.stderr + done.stdout).splitlines()
    why = next(filter(None, map(complaint, reversed(lines))), "") or (lines or ["it said nothing"])[-1]
    entry_point = ((client.inspect(image) or {}).get("Config") or {}).get("Entrypoint")
    if entry_point:
        why += f'; its ENTRYPOINT is {json.dumps(entry_point)}, which must run the words it is given: exec "$@"'
    raise click.ClickException(f"{image} was built, yet does not run `serve`: {why}")
