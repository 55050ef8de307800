"""How a job is to send its requests: as its request says, else as the container says, else as is usual."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from byoc_cli.emulator.errors import invalid
from byoc_cli.emulator.transform.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

STRATEGIES = {"MultiRecord": "MULTI_RECORD", "SingleRecord": "SINGLE_RECORD"}
# Of bodies on their way at the same time.
MOST_MEGABYTES = 100


@dataclass(frozen=True)
class Parameters:
    """What was settled.

    Attributes:
        concurrent: requests at the same time, of one instance.
        megabytes: of a body at most; 0 sends all of an object, in chunks.
        strategy: ``MULTI_RECORD`` or ``SINGLE_RECORD``.
    """

    concurrent: int = 1
    megabytes: int = 6
    strategy: str = "MULTI_RECORD"

    def __str__(self) -> str:
        """Return it as the platform's own log does."""
        return (
            f"MaxConcurrentTransforms={self.concurrent}, MaxPayloadInMB={self.megabytes}, BatchStrategy={self.strategy}"
        )


def settle(request: Mapping[str, Any], told: Mapping[str, Any]) -> Parameters:
    """Return the parameters of a job.

    Args:
        request: CreateTransformJob's.
        told: by the container.

    Raises:
        DataError: more would be on its way than the platform takes.
    """
    usual = Parameters()
    strategy = STRATEGIES.get(request.get("BatchStrategy", ""))
    parameters = Parameters(
        concurrent=request.get("MaxConcurrentTransforms") or told.get("MaxConcurrentTransforms") or usual.concurrent,
        megabytes=request.get("MaxPayloadInMB", told.get("MaxPayloadInMB", usual.megabytes)),
        strategy=strategy or told.get("BatchStrategy") or usual.strategy,
    )
    if parameters.concurrent * parameters.megabytes > MOST_MEGABYTES:
        raise DataError(f"{parameters}: the product of the first two must not exceed {MOST_MEGABYTES} MB")
    return parameters


def check(request: Mapping[str, Any]) -> None:
    """Refuse a request whose own values cannot be.

    Raises:
        ApiError: there are such.
    """
    if request.get("MaxPayloadInMB", 0) > MOST_MEGABYTES:
        raise invalid(f"MaxPayloadInMB must not exceed {MOST_MEGABYTES}; it is {request['MaxPayloadInMB']}")
    try:
        settle({"MaxPayloadInMB": 0, **request}, {})
    except DataError as error:
        raise invalid(str(error)) from error


def read(status: int, body: bytes) -> dict[str, Any]:
    """Return what a container answers to GET /execution-parameters; {} where it does not know it.

    Raises:
        DataError: the answer is not what it must be.
    """
    if status != 200:  # noqa: PLR2004 - anything else is "I have none"
        return {}
    try:
        told = json.loads(body)
    except ValueError as error:
        raise DataError(f"GET /execution-parameters answered what is no JSON: {error}") from error
    if not isinstance(told, dict):
        raise DataError("GET /execution-parameters must answer with a JSON object")
    for name, low in (("MaxConcurrentTransforms", 1), ("MaxPayloadInMB", 0)):
        value = told.get(name, low)
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise DataError(f"GET /execution-parameters: {name} must be a whole number from {low} on, not {value!r}")
    if told.get("BatchStrategy", "MULTI_RECORD") not in STRATEGIES.values():
        raise DataError(f"GET /execution-parameters: BatchStrategy must be one of {', '.join(STRATEGIES.values())}")
    return told


def environment(request: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that tell a container what its job is: only what the request says itself."""
    told = {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": request.get("MaxPayloadInMB"),
        "SAGEMAKER_BATCH_STRATEGY": STRATEGIES.get(request.get("BatchStrategy", "")),
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": request.get("MaxConcurrentTransforms"),
    }
    return {**request.get("Environment", {}), **{name: str(value) for name, value in told.items() if value is not None}}
