"""Parquet in: columns by their names, text, numbers and missing values; every way to be damaged."""

import io
import sys

import numpy as np
import pandas as pd
import pytest

from byoc.errors import RowError
from byoc.serving.errors import RequestError
from byoc.serving.formats import parquet


def written(frame, **options):
    out = io.BytesIO()
    frame.to_parquet(out, **options)
    return out.getvalue()


@pytest.fixture
def table(penguins):
    schema, header, rows = penguins
    frame = pd.DataFrame(rows, columns=header).replace(["NA", ""], None)
    numeric = [column.name for column in schema.columns if column.kind == "number"]
    return frame.astype(dict.fromkeys(numeric, float))


@pytest.mark.parametrize("compression", ["snappy", "zstd", "gzip", None])
def test_real_rows_are_those_of_csv(penguins, table, compression):
    schema, _, rows = penguins
    body = written(table[table.columns[::-1]], compression=compression)
    np.testing.assert_array_equal(parquet.decode(body, {}, schema).matrix, schema.matrix(rows))


def test_without_a_schema_the_names_are_kept(table):
    records = parquet.decode(written(table), {}, None)
    assert (len(records), records.names) == (len(table), tuple(table.columns))


def test_a_bad_cell_is_named(penguins, table):
    table["bill_length_mm"] = ["x", *["1.5"] * (len(table) - 1)]
    with pytest.raises(RowError) as refused:
        parquet.decode(written(table), {}, penguins[0])
    assert (refused.value.row, refused.value.column) == (1, "bill_length_mm")


@pytest.mark.parametrize("cut", [slice(0), slice(10), slice(-9), slice(4, None)])
def test_damaged_files_are_400(penguins, table, cut):
    with pytest.raises(RequestError) as refused:
        parquet.decode(written(table)[cut], {}, penguins[0])
    assert refused.value.status == 400


def test_a_few_bytes_that_stand_for_many_cells_are_413(penguins):
    with pytest.raises(RequestError) as refused:
        parquet.decode(written(pd.DataFrame({"a": np.zeros(50_000_001, np.int8)})), {}, penguins[0])
    assert refused.value.status == 413


def test_without_the_extra_it_is_415_and_says_how_to_have_it(monkeypatch, penguins):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(RequestError, match="--build-arg EXTRAS=parquet") as refused:
        parquet.decode(b"PAR1", {}, penguins[0])
    assert refused.value.status == 415
