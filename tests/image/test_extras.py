"""Images built with extras have what those promise."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from tests import datasets, engine
from tests.image.conftest import csv

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.docker


def test_parquet(model: Path) -> None:
    """The image without the extra says how to have it; with it, a table is answered like the same rows in CSV."""
    name = engine.unique()
    build = engine.build(name, arguments={"EXTRAS": "parquet"})
    assert build.returncode == 0, build.stderr
    table = datasets.diabetes()
    rows, names = table.features(slice(5)), [name for name in table.header if name != table.target]
    out = io.BytesIO()
    pd.DataFrame(rows, columns=names).astype(float).to_parquet(out)
    try:
        with engine.serving(name, model) as server:
            answer = server.post(out.getvalue(), "application/x-parquet")
            assert answer.text == server.post(csv(rows)).text
            assert answer.status_code == 200
    finally:
        engine.docker("rmi", "--force", name)


def test_without_it(image: str, model: Path) -> None:
    with engine.serving(image, model) as server:
        answer = server.post(b"PAR1", "application/x-parquet")
    assert answer.status_code == 415
    assert "--build-arg EXTRAS=parquet" in answer.json()["error"]["message"]
