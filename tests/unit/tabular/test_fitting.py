"""Fitting by milestones: the plain fit's model to the bit, and the best so far where a job is stopped."""

import signal
import sys
import threading
from functools import partial

import joblib
import numpy as np
import pytest
from sklearn import ensemble
from sklearn.datasets import load_diabetes, load_iris
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from byoc.training.checkpoints import Checkpoints
from byoc.training.stop import Stopped
from tabular import fitting, pipeline
from tabular.model import final
from tests import datasets

IRIS = load_iris(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)


@pytest.fixture(autouse=True)
def one_thread():
    """Tables so small are slower with several threads, much so on a busy machine."""
    with threadpool_limits(1, "openmp"):
        yield


class Job:
    """What fitting asks of a job."""

    stopping = True

    def __init__(self, folder=None):
        self.checkpoints = Checkpoints(folder)


def nothing(_model):
    pass


CASES = {
    # Drawing features at random, they cannot be watched and pause like the others.
    "HistGradientBoostingClassifier": ({"max_iter": 16, "early_stopping": False, "max_features": 0.5}, IRIS),
    "HistGradientBoostingRegressor": ({"max_iter": 16, "early_stopping": False, "max_features": 0.5}, DIABETES),
    "GradientBoostingClassifier": ({"n_estimators": 16, "subsample": 0.7}, IRIS),
    "GradientBoostingRegressor": ({"n_estimators": 16, "max_features": 0.5}, DIABETES),
    "RandomForestClassifier": ({"n_estimators": 16}, IRIS),
    "RandomForestRegressor": ({"n_estimators": 16, "max_samples": 0.5}, DIABETES),
    "ExtraTreesClassifier": ({"n_estimators": 16, "class_weight": "balanced"}, IRIS),
    "ExtraTreesRegressor": ({"n_estimators": 16, "bootstrap": True}, DIABETES),
}


def test_every_iterative_estimator_is_tested():
    assert CASES.keys() == fitting.ITERATIVE.keys()


@pytest.mark.parametrize("interval", [0.0, 1e9])
@pytest.mark.parametrize("name", CASES)
def test_milestones_give_the_plain_fits_model_to_the_bit(name, interval, monkeypatch):
    """CONTRACT check 27; with as many pauses as can be, and with one."""
    monkeypatch.setattr(fitting, "INTERVAL", interval)
    parameters, (features, labels) = CASES[name]
    cls, reports = getattr(ensemble, name), []
    plain = cls(**parameters, random_state=3).fit(features, labels)
    fitted = fitting.fit(cls(**parameters, random_state=3), features, labels, Job(), lambda model: reports.append(1))
    answer = "predict_proba" if hasattr(plain, "predict_proba") else "predict"
    np.testing.assert_array_equal(getattr(fitted, answer)(features), getattr(plain, answer)(features))
    assert fitted.get_params() == plain.get_params()
    assert len(reports) == (1 if interval else parameters[fitting.ITERATIVE[name]] - fitting.FIRST_MILESTONE)


def test_a_forest_pauses_when_all_cpus_have_had_a_tree(monkeypatch):
    """Threads stand for the CPUs of several hosts: with fewer trees than CPUs between two pauses some would wait."""
    monkeypatch.setattr(fitting, "INTERVAL", 0.0)
    reports = []
    model = ensemble.RandomForestClassifier(60, random_state=0)
    with joblib.parallel_config("threading", n_jobs=12):
        fitting.fit(model, *IRIS, Job(), lambda so_far: reports.append(len(so_far.estimators_)))
    assert reports == [12, 24, 36, 48]


def test_early_stopping_stops_where_the_plain_fit_does(monkeypatch):
    monkeypatch.setattr(fitting, "INTERVAL", 0.0)
    parameters = {
        "max_iter": 200,
        "early_stopping": True,
        "n_iter_no_change": 2,
        "learning_rate": 0.3,
        "max_features": 0.9,
        "random_state": 0,
    }
    plain = ensemble.HistGradientBoostingRegressor(**parameters).fit(*DIABETES)
    fitted = fitting.fit(ensemble.HistGradientBoostingRegressor(**parameters), *DIABETES, Job(), nothing)
    assert fitted.n_iter_ == plain.n_iter_ < 200
    np.testing.assert_array_equal(fitted.predict(DIABETES[0]), plain.predict(DIABETES[0]))


def test_a_pipeline_is_fitted_by_milestones_too():
    birds = datasets.penguins()
    labels = np.array(birds.labels(slice(None)))
    rows = np.array([[len(cell) for cell in row] for row in birds.features(slice(None))], dtype=float)

    def build():
        return pipeline.Pipeline(
            [("scale", pipeline.StandardScaler()), ("trees", ensemble.ExtraTreesClassifier(30, random_state=0))]
        )

    reports = []
    fitted = fitting.fit(build(), rows, labels, Job(), lambda model: reports.append(len(model[-1].estimators_)))
    np.testing.assert_array_equal(fitted.predict_proba(rows), build().fit(rows, labels).predict_proba(rows))
    assert reports[0] == fitting.FIRST_MILESTONE


class Interrupted(ensemble.RandomForestClassifier):
    """A forest that is stopped when it is about to grow its 11th tree, as a signal in mid fit does it."""

    def fit(self, *arguments):
        if self.n_estimators > self.limit:
            # What a fit leaves when it is interrupted is not to be used.
            self.estimators_ = []
            raise Stopped(signal.SIGTERM)
        return super().fit(*arguments)


def interrupted(limit, monkeypatch):
    monkeypatch.setitem(fitting.ITERATIVE, "Interrupted", "n_estimators")
    monkeypatch.setattr(fitting, "INTERVAL", 1e9)
    monkeypatch.setattr(Interrupted, "limit", limit, raising=False)
    return Interrupted(40, random_state=0)


def test_a_stop_in_mid_fit_keeps_the_last_milestone(monkeypatch):
    """CONTRACT check 36."""
    fitted = fitting.fit(interrupted(10, monkeypatch), *IRIS, Job(), nothing)
    ten = ensemble.RandomForestClassifier(10, random_state=0).fit(*IRIS)
    np.testing.assert_array_equal(fitted.predict_proba(IRIS[0]), ten.predict_proba(IRIS[0]))
    assert fitted.get_params()["n_estimators"] == 40
    assert fitted.get_params()["warm_start"] is False


def test_a_stop_before_the_first_milestone_leaves_no_model(monkeypatch):
    """CONTRACT check 37."""
    with pytest.raises(Stopped):
        fitting.fit(interrupted(5, monkeypatch), *IRIS, Job(), nothing)


@pytest.mark.parametrize(
    "estimator",
    [
        DecisionTreeClassifier(random_state=0),
        ensemble.RandomForestClassifier(30, random_state=0, warm_start=True),
        ensemble.GradientBoostingClassifier(n_estimators=30, n_iter_no_change=3, random_state=0),
    ],
)
def test_others_are_fitted_in_one_go(estimator):
    reports = []
    fitted = fitting.fit(estimator, *IRIS, Job(), reports.append)
    assert reports == []
    assert fitted.score(*IRIS) > 0.9


def test_a_short_fit_has_no_pause():
    reports = []
    fitted = fitting.fit(ensemble.RandomForestClassifier(5, random_state=0), *IRIS, Job(), reports.append)
    assert (len(fitted.estimators_), reports) == (5, [])


# --- checkpoints (CONTRACT check 23)


class PulledOut(BaseException):
    """The end of the machine, as nobody expects it: not caught by anything."""


def interrupt_at(step):
    """Return a report that ends the fit at the milestone after ``step``."""
    seen = []

    def report(_model):
        seen.append(1)
        if len(seen) == step:
            raise PulledOut

    return report


CATEGORIES = {"max_iter": 16, "early_stopping": False, "categorical_features": [0], "max_features": 0.5}
WHOLE_NUMBERS = (np.column_stack([np.arange(150) % 7, IRIS[0]]), IRIS[1])
EARLY = {"max_iter": 60, "early_stopping": True, "n_iter_no_change": 5, "max_features": 0.5}
RESUMED = {
    **{name: (name, *case) for name, case in CASES.items()},
    "categories and random features": ("HistGradientBoostingClassifier", CATEGORIES, WHOLE_NUMBERS),
    "early stopping": ("HistGradientBoostingRegressor", EARLY, DIABETES),
}


@pytest.mark.parametrize("case", RESUMED)
def test_an_interrupted_fit_goes_on_to_the_same_model_to_the_bit(case, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "INTERVAL", 0.0)
    name, parameters, (features, labels) = RESUMED[case]
    build = partial(getattr(ensemble, name), **parameters, random_state=3)
    plain = build().fit(features, labels)
    with pytest.raises(PulledOut):
        fitting.fit(build(), features, labels, Job(tmp_path), interrupt_at(3))
    assert Job(tmp_path).checkpoints.latest(fitting.fingerprint(build(), features, labels)).step == 12
    left = []
    fitted = fitting.fit(build(), features, labels, Job(tmp_path), left.append)
    answer = "predict_proba" if hasattr(plain, "predict_proba") else "predict"
    np.testing.assert_array_equal(getattr(fitted, answer)(features), getattr(plain, answer)(features))
    assert fitted.get_params() == plain.get_params()
    if case in CASES:
        assert left == []  # 16 is within the first ten after 12


def forest(**parameters):
    return ensemble.RandomForestClassifier(**{"n_estimators": 16, "random_state": 3, **parameters})


def scaled(**parameters):
    return pipeline.make_pipeline(pipeline.StandardScaler(), forest(**parameters))


@pytest.mark.parametrize("build", [forest, scaled])
def test_only_what_ends_in_the_same_model_has_the_same_fingerprint(build):
    features, labels = IRIS
    own = fitting.fingerprint(build(), features, labels)
    assert fitting.fingerprint(build(n_jobs=2, verbose=1), features.copy(order="F"), labels) == own
    others = [
        fitting.fingerprint(build(max_depth=3), features, labels),
        fitting.fingerprint(build(random_state=4), features, labels),
        fitting.fingerprint(build(), features + 1e-12, labels),
        fitting.fingerprint(build(), features[:, ::-1], labels),
        fitting.fingerprint(build(), features, labels[::-1]),
        fitting.fingerprint(build(), features, np.array([f"class {label}" for label in labels], dtype=object)),
        fitting.fingerprint(pipeline.make_pipeline(build()), features, labels),
    ]
    assert len({own, *others}) == 8


def test_a_checkpoint_of_another_job_is_not_gone_on_from(tmp_path, caplog):
    with pytest.raises(PulledOut):
        fitting.fit(forest(), *IRIS, Job(tmp_path), interrupt_at(1))
    fitted = fitting.fit(forest(max_depth=2), *IRIS, Job(tmp_path), nothing)
    assert max(tree.get_depth() for tree in fitted.estimators_) == 2
    assert "of other data, hyperparameters or library versions" in caplog.text


def test_a_checkpoint_that_holds_more_than_a_model_is_not_loaded(tmp_path, caplog):
    class Strange(ensemble.RandomForestClassifier):
        pass

    job, key = Job(tmp_path), fitting.fingerprint(forest(), *IRIS)
    job.checkpoints.save(10, partial(fitting.flavor.write, Strange()), key)
    fitted = fitting.fit(forest(), *IRIS, job, nothing)
    np.testing.assert_array_equal(fitted.predict_proba(IRIS[0]), forest().fit(*IRIS).predict_proba(IRIS[0]))
    assert "not scikit-learn's" in caplog.text


def test_a_stop_soon_after_going_on_keeps_the_checkpoints_model(tmp_path, monkeypatch):
    with pytest.raises(PulledOut):
        fitting.fit(interrupted(10, monkeypatch), *IRIS, Job(tmp_path), interrupt_at(1))
    monkeypatch.setattr(
        fitting.flavor, "read", lambda _file: interrupted(10, monkeypatch).set_params(n_estimators=10).fit(*IRIS)
    )
    fitted = fitting.fit(interrupted(10, monkeypatch), *IRIS, Job(tmp_path), nothing)
    assert len(fitted.estimators_) == 10


# --- histogram gradient boosting, watched while it fits


def boosting(**parameters):
    return partial(ensemble.HistGradientBoostingClassifier, random_state=3, **parameters)


def without_a_column():
    features = np.column_stack([np.full(150, np.nan), IRIS[0]])
    parts = [("kept", "passthrough", [1, 2, 3, 4])]
    return lambda **more: pipeline.Pipeline(
        [
            ("features", pipeline.ColumnTransformer(parts)),
            ("estimator", boosting(max_iter=12, early_stopping=False)(**more)),
        ]
    ), (features, IRIS[1])


WATCHED = {
    "three classes": (boosting(max_iter=12, early_stopping=False), IRIS),
    "regression": (partial(ensemble.HistGradientBoostingRegressor, max_iter=30, early_stopping=False), DIABETES),
    "early stopping": (boosting(max_iter=60, early_stopping=True, n_iter_no_change=3, learning_rate=0.5), IRIS),
    "by the training rows": (boosting(max_iter=15, early_stopping=True, validation_fraction=None), IRIS),
    "in a pipeline": without_a_column(),
}


def watch(build, data, monkeypatch, job=None):
    """Fit and look as often as can be; return what was fitted and what was seen meanwhile, by its iterations."""
    monkeypatch.setattr(fitting, "INTERVAL", 0.0)
    seen = {}
    patient = sys.getswitchinterval()
    # Fits of so few rows are over before the other thread would have its turn; on a busy machine not the first alone.
    sys.setswitchinterval(1e-5)
    for _ in range(50):
        fitted = fitting.fit(build(), *data, job or Job(), lambda model: seen.update({final(model).n_iter_: model}))
        if seen or job:
            break
    sys.setswitchinterval(patient)
    return fitted, seen


def same(one, other, features):
    np.testing.assert_array_equal(answers(one, features), answers(other, features))


def answers(model, features):
    return model.predict_proba(features) if hasattr(model, "predict_proba") else model.predict(features)


@pytest.mark.parametrize(("build", "data"), WATCHED.values(), ids=WATCHED)
def test_what_is_seen_is_the_plain_fit_of_so_many_iterations(build, data, monkeypatch):
    plain = build().fit(*data)
    fitted, seen = watch(build, data, monkeypatch)
    same(fitted, plain, data[0])
    assert fitted.get_params().keys() == plain.get_params().keys()
    assert final(fitted).n_iter_ == final(plain).n_iter_
    assert (final(fitted).max_iter, final(fitted).warm_start) == (final(plain).max_iter, False)
    assert seen
    for count in list(seen)[:: max(1, len(seen) // 5)]:
        same(seen[count], final_set(build(), count).fit(*data), data[0])


def final_set(model, count):
    final(model).set_params(max_iter=count)
    return model


@pytest.mark.parametrize(("build", "data"), WATCHED.values(), ids=WATCHED)
def test_what_was_seen_is_gone_on_from_to_the_same_model_to_the_bit(build, data, tmp_path, monkeypatch):
    """CONTRACT check 23."""
    plain, (_, seen) = build().fit(*data), watch(build, data, monkeypatch)
    key = fitting.fingerprint(build(), *data)
    for count in list(seen)[:: max(1, len(seen) // 5)]:
        (tmp_path / str(count)).mkdir()
        job = Job(tmp_path / str(count))
        job.checkpoints.save(count, partial(fitting.flavor.write, seen[count]), key)
        assert job.checkpoints.latest(key).step == count
        again, later = watch(build, data, monkeypatch, job)
        same(again, plain, data[0])
        assert all(each > count for each in later)


@pytest.mark.parametrize("after", [1, 4])
def test_a_stop_keeps_all_whole_iterations_and_saves_them(after, tmp_path, monkeypatch):
    """CONTRACT check 36: a signal reaches the fit in its midst, as SIGTERM does."""
    stopped = threading.Event()

    def stop(*_arguments):
        stopped.set()
        raise Stopped(signal.SIGTERM)

    before = signal.signal(signal.SIGUSR1, stop)
    monkeypatch.setattr(fitting, "INTERVAL", 0.0)
    # Neither a slow disk nor a busy machine is to let the fit be over before it is stopped.
    monkeypatch.setattr("byoc.training.checkpoints.os.fsync", lambda _file: None)
    seen = []

    def report(model):
        seen.append(model.n_iter_)
        if len(seen) == after:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
            stopped.wait(30)  # else one more look would save what the stop is to save

    build, job = boosting(max_iter=5000, early_stopping=False), Job(tmp_path)
    try:
        fitted = fitting.fit(build(), *IRIS, job, report)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen[after - 1] <= fitted.n_iter_ < 5000
    same(fitted, final_set(build(), fitted.n_iter_).fit(*IRIS), IRIS[0])
    assert (fitted.max_iter, fitted.warm_start) == (5000, False)
    assert job.checkpoints.latest(fitting.fingerprint(build(), *IRIS)).step == fitted.n_iter_
