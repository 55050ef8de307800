"""Predictions are cut into the requests they belong to."""

import numpy as np

from byoc.predictions import Predictions


def test_a_slice_keeps_rows_together():
    whole = Predictions(np.array(["a", "b", "a"]), np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]]), ("a", "b"))
    part = whole[1:3]
    assert (len(whole), len(part)) == (3, 2)
    assert part.labels.tolist() == ["b", "a"]
    assert part.probabilities.tolist() == [[0.2, 0.8], [0.7, 0.3]]
    assert part.classes == ("a", "b")
    assert Predictions(np.arange(3.0))[:1].probabilities is None
