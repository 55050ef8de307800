"""The platform's limits, in one place; two of them can be set where the emulator is started."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

MEBIBYTE = 1 << 20
# The developer guide's figure; the API reference still has 6 MB.
PAYLOAD_MB = 25
SERVERLESS_PAYLOAD = 4 * MEBIBYTE
ASYNC_PAYLOAD = 1024 * MEBIBYTE
INLINE_ASYNC_PAYLOAD = 128_000

ANSWER_SECONDS = 60
STREAM_SECONDS = 8 * 60
ASYNC_SECONDS = 15 * 60
# What an asynchronous request may ask for.
LONGEST_SECONDS = 60 * 60
ASYNC_TTL_SECONDS = 6 * 60 * 60
STARTUP_SECONDS = 8 * 60
SERVERLESS_STARTUP_SECONDS = 3 * 60
# Of a container's body, what ModelError tells.
MESSAGE_LENGTH = 2048


@dataclass(frozen=True)
class Limits:
    """What can be set.

    Attributes:
        payload: bytes of a real-time request.
        memory: of an instance, in MB; None is all of this machine's.
    """

    payload: int
    memory: int | None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Limits:
        """Read BYOC_EMULATOR_PAYLOAD_MB and BYOC_EMULATOR_MEMORY_MB.

        Raises:
            click.ClickException: one of them is no number.
        """
        payload = _number(environ, "BYOC_EMULATOR_PAYLOAD_MB") or PAYLOAD_MB
        return cls(payload * MEBIBYTE, _number(environ, "BYOC_EMULATOR_MEMORY_MB"))


def _number(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name, "").strip()
    if text and not (text.isdecimal() and int(text)):
        raise click.ClickException(f"{name}={text} must be a whole number of MB, 1 or more")
    return int(text) if text else None
