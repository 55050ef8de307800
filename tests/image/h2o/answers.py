"""Has the program answer every model's rows, as `serve` would:  python answers.py FOLDER, prints JSON by kind."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from byoc import flavors
from byoc.errors import UserError
from byoc.serving.formats import csv


def answer(folder: Path) -> dict[str, object]:
    """Return labels, probabilities, or the rows of an array; or the error."""
    try:
        model = flavors.load(folder)
        rows = csv.decode(folder.with_suffix(".csv").read_bytes(), {}, model.schema)
        found = model.predict(rows.array())
    except UserError as error:
        return {"error": str(error)}
    labels = found.labels if hasattr(found, "labels") else found
    probabilities = getattr(found, "probabilities", None)
    return {
        "labels": labels.tolist(),
        "probabilities": None if probabilities is None else probabilities.tolist(),
        "classes": list(getattr(found, "classes", ())),
        "id": model.id,
        "columns": {column.name: [column.kind, *column.categories] for column in model.schema.columns},
        "target": model.schema.target,
    }


if __name__ == "__main__":
    print(json.dumps({each.name: answer(each) for each in sorted(Path(sys.argv[1]).iterdir()) if each.is_dir()}))
