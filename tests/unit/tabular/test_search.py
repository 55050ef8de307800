"""The search for hyperparameters: what may be asked for, what is drawn, and which candidate is the best."""

import json
import re
import warnings

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

from byoc.errors import DataError, UserError
from byoc.training.hyperparameters import user_values
from tabular.options import Options
from tabular.search import FORM, Range, Search, run

TREE = "DecisionTreeClassifier"


def read(search, **raw):
    return Options.read(user_values({**raw, "search": search if isinstance(search, str) else json.dumps(search)}))


def test_what_the_messages_show_is_taken():
    assert read(FORM).search == Search(
        {"max_depth": [3, 5, None], "learning_rate": Range(0.01, 0.3, log=True)}, n_iter=20, cv=5
    )


# search · other hyperparameters · what the message must hold
BAD = [
    ("5", {}, ["search=5 must be a JSON object with a space, for instance", "n_iter"]),
    ({}, {}, ["with a space"]),
    ({"space": {}}, {}, ["with a space"]),
    ({"space": {"max_depth": [3]}, "folds": 5}, {}, ["has folds, but can only have space, n_iter and cv"]),
    ({"space": {"max_depth": [3]}, "cv": 1}, {}, ["has cv=1, which must be a whole number from 2 to 100"]),
    ({"space": {"max_depth": [3]}, "cv": True}, {}, ["has cv=True"]),
    ({"space": {"max_depth": [3]}, "n_iter": 1.5}, {}, ["has n_iter=1.5", "from 1 to"]),
    ({"space": {"max_depth": [3]}, "n_iter": "many"}, {}, ["has n_iter='many'"]),
    ({"space": {"max_depth": []}}, {}, ["has max_depth=[]", "a list of values, or a range"]),
    ({"space": {"max_depth": {"low": 3}}}, {}, ["max_depth={'low': 3}"]),
    ({"space": {"max_depth": {"low": 3, "high": 3}}}, {}, ["low below high"]),
    ({"space": {"max_depth": {"low": "a", "high": "b"}}}, {}, ["max_depth="]),
    ({"space": {"max_depth": {"low": 0, "high": 3, "log": True}}}, {}, ["above 0 where log is true"]),
    ({"space": {"max_deep": [3]}}, {}, ["max_deep=3 is not a hyperparameter", "did you mean max_depth?"]),
    ({"space": {"max_depth": [3, -1]}}, {"estimator": TREE}, ["search: max_depth=-1:", "'max_depth' parameter"]),
    ({"space": {"max_depth": {"low": -2, "high": 3}}}, {"estimator": TREE}, ["search: max_depth=-2:"]),
]


@pytest.mark.parametrize(("search", "others", "words"), BAD)
def test_what_cannot_be_searched_is_refused(search, others, words):
    with pytest.raises(UserError) as refused:
        read(search, **others)
    for word in words:
        assert word in str(refused.value)
    assert "\n" not in str(refused.value)


def test_candidates_are_within_the_space_and_come_from_the_seed():
    space = {"a": Range(1, 3), "b": Range(0.5, 2.5), "c": Range(1e-4, 1.0, log=True), "d": ["x", None]}
    drawn = Search(space, n_iter=300).candidates(seed=1)
    assert drawn == Search(space, n_iter=300).candidates(seed=1)
    assert drawn != Search(space, n_iter=300).candidates(seed=2)
    assert {each["a"] for each in drawn} == {1, 2, 3}
    assert {type(each["a"]) for each in drawn} == {int}
    assert all(0.5 <= each["b"] <= 2.5 and 1e-4 <= each["c"] <= 1 for each in drawn)
    assert 0.4 < np.mean([each["c"] < 1e-2 for each in drawn]) < 0.6
    assert {each["d"] for each in drawn} == {"x", None}


def test_a_small_space_is_gone_through_once():
    assert len(Search({"a": [1, 2], "b": [3, 4]}, n_iter=50).candidates(seed=0)) == 4


class Job:
    def __init__(self):
        self.cpus = 2
        self.metrics = []

    def metric(self, name, value):
        self.metrics.append((name, value))


def search(space, make=lambda candidate: DecisionTreeClassifier(random_state=0, **candidate), cv=3, rows=150):
    job = Job()
    table, labels = load_iris(return_X_y=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        best = run(Search(space, 20, cv), make, table[:rows], labels[:rows], job, stratified=True, seed=0)
    return best, job


def test_the_best_is_found_and_told(monkeypatch):
    """Told when it gets better: the metric's course is what one wants to see."""
    monkeypatch.setattr("tabular.search.INTERVAL", 0)
    best, job = search({"max_depth": [1, 2, 3]})
    assert best == {"max_depth": 3}
    names, values = zip(*job.metrics, strict=True)
    assert set(names) == {"search:best_score"}
    assert list(values) == sorted(set(values))
    assert 0.9 < values[-1] < 1


def test_of_equals_the_first_drawn_is_the_best():
    drawn = Search({"max_depth": [8, 9, 10, 11]}, 20, 3).candidates(0)
    assert search({"max_depth": [8, 9, 10, 11]})[0] == drawn[0]


def test_a_candidate_that_refuses_the_data_is_passed_over(caplog):
    best, _ = search({"max_depth": [3, -7]})
    assert best == {"max_depth": 3}
    assert re.search(r"3 of 6 fits failed, for instance: .*-7", caplog.text)


def test_no_candidate_or_too_few_rows_is_a_mistake_in_the_data():
    with pytest.raises(DataError, match=r"no candidate can be fitted: .*-7"):
        search({"max_depth": [-7]})
    with pytest.raises(DataError, match="cv=40 folds cannot be made of 30 rows"):
        search({"max_depth": [3]}, cv=40, rows=30)


def test_a_list_may_have_numbers_as_some_clients_write_them():
    options = read({"space": {"max_depth": [3.0, 5.0]}}, estimator=TREE)
    assert options.chosen({"max_depth": 3.0}).make_estimator("classification").max_depth == 3
    assert options.chosen({"max_depth": 3.0}).search is None
