"""What a form for an endpoint is made of: the columns of its model and a row, as the container tells them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from byoc_cli.emulator.errors import ApiError
from byoc_cli.emulator.hosting import Hosting
from byoc_cli.emulator.hosting.calls import CallError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from byoc_cli.emulator.emulator import Emulator

SECONDS = 10
GOOD = 200


def tell(emulator: Emulator, endpoint: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the form of an endpoint: ``fields``, each with name, type and example, [] where the model tells none.

    Raises:
        ApiError: the endpoint has no container that could be asked.
    """
    variants = [each["VariantName"] for each in config["ProductionVariants"]]
    told = {
        "variants": variants,
        "is_multi": any(_is_multi(emulator, each.get("ModelName")) for each in config["ProductionVariants"]),
        "is_async": "AsyncInferenceConfig" in config,
    }
    hosting = next(room for room in emulator.rooms if isinstance(room, Hosting))
    return {**told, **_columns(lambda path: _get(hosting, endpoint, path))}


def _is_multi(emulator: Emulator, model: str | None) -> bool:
    """Whether a variant's model is many, one of which a request has to name."""
    try:
        described = emulator.api.call("DescribeModel", {"ModelName": model}) or {}
    except ApiError:
        # Deleted since, which does no endpoint any harm.
        return False
    containers = described.get("Containers") or [described.get("PrimaryContainer", {})]
    return any(each.get("Mode") == "MultiModel" for each in containers)


def _columns(get: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """Return a model's columns, with a value for each, as the routes of H2O's scorers tell them."""
    schema, sample = get("/model/schema"), get("/model/sample_request")
    try:
        columns = schema["schema"]["inputFields"]
        examples = dict(zip(sample["fields"], sample["rows"][0], strict=True))
        fields = [
            {"name": each["name"], "type": each["dataType"], "example": examples.get(each["name"], "")}
            for each in columns
        ]
    except (LookupError, TypeError, ValueError):
        return {"fields": []}
    return {"fields": fields}


def _get(hosting: Hosting, endpoint: str, path: str) -> dict[str, Any]:
    """Return the JSON object that a route answers; {} where it has none."""
    try:
        answer = hosting.look(endpoint, path, SECONDS)
        told = json.loads(answer.body) if answer.status == GOOD else {}
    except (CallError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
