"""Metrics: what is printed is what the definitions match (CONTRACT check 22)."""

import math
import re

import pytest

from byoc.training import metrics

VALUES = [0, 1, -2.5, 0.123456789, 1e-9, -1e300, 3.0e7]


@pytest.mark.parametrize("value", VALUES)
def test_the_definition_matches_what_is_printed(capsys, value):
    metrics.emit("validation:accuracy", value)
    line = capsys.readouterr().out
    (definition,) = metrics.definitions(["validation:accuracy"])
    found = re.findall(definition["Regex"], line, re.MULTILINE)
    assert line.count("\n") == 1
    assert len(found) == 1
    assert float(found[0]) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_not_told(capsys, value):
    metrics.emit("rmse", value)
    assert capsys.readouterr().out == ""


def test_one_metric_is_not_taken_for_another(capsys):
    metrics.emit("validation:rmse", 2)
    assert not re.search(metrics.definitions(["rmse"])[0]["Regex"], capsys.readouterr().out, re.MULTILINE)
