"""What an answer tells of each record, as SAGEMAKER_INFERENCE_OUTPUT chooses."""

import numpy as np
import pytest

from byoc.predictions import Predictions
from byoc.serving.formats import answers

SURE = Predictions(np.array(["a", "b"]), np.array([[0.75, 0.25], [0.5, 0.5]]), ("a", "b"))
UNSURE = Predictions(np.array(["a", "b"]), classes=("a", "b"))
NUMBER = Predictions(np.array([1.5, 2.5]))

CASES = {
    "usual": (SURE, (), {"predicted_label": "a", "score": 0.75}),
    "label alone": (SURE, ("predicted_label",), "a"),
    "all": (
        SURE,
        ("predicted_label", "probability", "probabilities", "labels"),
        {"predicted_label": "a", "probability": 0.75, "probabilities": [0.75, 0.25], "labels": ["a", "b"]},
    ),
    "in the order asked for": (SURE, ("labels", "probability"), {"labels": ["a", "b"], "probability": 0.75}),
    "no probabilities": (UNSURE, (), {"predicted_label": "a"}),
    "no probabilities, asked for": (UNSURE, ("predicted_label", "probability"), {"predicted_label": "a"}),
    "regression": (NUMBER, (), {"predicted_label": 1.5, "score": 1.5}),
    "regression, all": (NUMBER, ("predicted_label", "probability", "labels"), {"predicted_label": 1.5}),
}


@pytest.mark.parametrize(("predictions", "outputs", "first"), CASES.values(), ids=CASES)
def test_outputs(predictions, outputs, first):
    told = answers.rows(predictions, outputs)
    assert len(told) == 2
    assert told[0] == first
    if isinstance(first, dict):
        assert [*told[0]] == [*first]


def test_one_answer_a_record_even_where_nothing_asked_for_exists():
    """CONTRACT check 79: lines out are lines in."""
    assert len(answers.rows(NUMBER, ("probability",))) == 2
