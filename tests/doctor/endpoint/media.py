"""Media types: rows out of a request's body, labels into an answer's, as well or as badly as FAULTS says."""

import json

from algorithm import FAULTS

CSV, JSON, LINES = "text/csv", "application/json", "application/jsonlines"


def decode(body: bytes, media_type: str) -> list[list[float]]:
    """Return rows of numbers.

    Raises:
        ValueError, KeyError, TypeError: the body is none of the shapes that are read.
    """
    if media_type == JSON:
        value = json.loads(body)
        records = value["instances"] if isinstance(value, dict) else value
        if "one shape of JSON" in FAULTS and records is value:
            raise ValueError("no instances")
        rows = [features(record) for record in records]
        return [row[::-1] for row in rows] if "reads JSON backwards" in FAULTS else rows
    text = body.decode()
    if media_type == LINES:
        return [features(json.loads(line)) for line in text.splitlines() if line]
    if "reads CRLF twice" in FAULTS and "\r\n" in text:
        text += f"\n{text}"
    return [row for line in text.replace("\r\n", "\n").removesuffix("\n").split("\n") if (row := numbers(line))]


def features(record: object) -> list[float]:
    """Return a record's numbers, whichever shape it has."""
    while isinstance(record, dict):
        record = next(record[name] for name in ("data", "features", "values") if name in record)
    return record


def numbers(line: str) -> list[float]:
    """Return a line's numbers."""
    try:
        return [float(value) for value in line.split(",")]
    except ValueError:
        if "skips bad rows" in FAULTS:
            return []
        if "repeats values" in FAULTS:
            raise
        raise ValueError("a row is not four numbers") from None


def encode(labels: list[str], media_type: str) -> str:
    """Return the answer's body."""
    told = [{"predicted_label": label} for label in labels]
    if media_type == JSON:
        return json.dumps({"predictions": told})
    if media_type == LINES:
        told = [told] if "one line for all" in FAULTS else told
        return "".join(f"{json.dumps(one)}\n" for one in told)
    if "single rows differ" in FAULTS and len(labels) == 1:
        labels = [labels[0].upper()]
    return "\n".join(labels) + ("" if "no newline at the end" in FAULTS else "\n")


def best(accept: str, own: str) -> str:
    """Return the type of an answer: the best of Accept that is on offer, empty where there is none."""
    if "answers in any type" in FAULTS and "doctor" in accept:
        return CSV
    offers = []
    for word in accept.split(","):
        name, _, quality = (part.strip() for part in word.partition(";"))
        weight = 1.0 if "no q-values" in FAULTS else float(quality.removeprefix("q=") or 1)
        offers.append((weight, own if name == "*/*" else name))
    known = [offer for offer in offers if offer[1] in (CSV, JSON, LINES)]
    return max(known, key=lambda offer: offer[0])[1] if known else ""
