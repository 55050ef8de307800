"""Learning block by block: one model whatever the hosts, as good as it should be; stops and checkpoints."""

import json
import pickle
import random
import shutil
import signal
from dataclasses import replace

import joblib
import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier
from sklearn.naive_bayes import GaussianNB

from byoc.env import Paths, TrainingEnvironment
from byoc.errors import DataError
from byoc.schema import Schema
from byoc.training.hosts import OneHost
from byoc.training.job import Job
from byoc.training.stop import StopNotice, Stopped
from tabular import data, incremental
from tabular.incremental import Run
from tabular.model import final
from tabular.options import Options
from tabular.table import Table
from tests import datasets

TABLES = {"penguins": "species", "diabetes": "progression", "digits": "column_0", "iris": "column_0"}
# Bytes of a block, so that there are several of each file.
SIZE = 2000
DIGITS = 20_000


class Spread(OneHost):
    """Hosts that each have a share of the files, and get what they are given as bytes."""

    def __init__(self, shares):
        super().__init__("algo-1", 2)
        self.threads = dict.fromkeys(shares, 2)
        self._shares = shares

    def start(self, host, function, *arguments):
        if function is data.files_of:
            return super().start(host, lambda: self._shares[host])
        return super().start(host, self._travelled, host, pickle.dumps((function, arguments)))

    def join(self, _host, function, state, found):
        return pickle.loads(pickle.dumps(function(pickle.loads(pickle.dumps(state)), found.result())))

    def _travelled(self, host, packed):
        function, arguments = pickle.loads(packed)
        for argument in arguments:
            file = getattr(argument, "file", argument)
            assert file in self._shares[host], f"{file} is not on {host}"
        return pickle.loads(pickle.dumps(function(*arguments)))


@pytest.fixture
def shards(tmp_path):
    """Returns a function that writes a data set in so many files and gives them."""

    def write(name, count, channel="training"):
        made = getattr(datasets, name)()
        folder = tmp_path / "input/data" / channel
        for number in range(count):
            part = replace(made, rows=made.rows[number::count])
            part.write(folder / f"{number % 2}/part-{number}.csv")
        return sorted(folder.rglob("*.csv"))

    return write


def job(base, hosts=("algo-1",), notice=None):
    channels = {"training": {"S3DistributionType": "ShardedByS3Key"}} if len(hosts) > 1 else {}
    environment = TrainingEnvironment(
        Paths(base), hosts=tuple(hosts), channels=channels, checkpoints=base / "checkpoints"
    )
    (base / "model").mkdir(exist_ok=True)
    return Job(environment, base / "model", notice or StopNotice())


def options(target, **given):
    return Options.read({"target": target, "incremental": True, "passes": 2, **given})


def run(base, given, workers=None, notice=None, size=SIZE):
    found = job(base, (workers or OneHost("algo-1", 2)).threads, notice)
    tables = []
    for name in ("training", "validation"):
        channel = found.optional_channel(name)
        hosts = workers or OneHost("algo-1", 2)
        tables.append(channel and Table.find(channel, hosts, found.environment, base / "scratch", size))
    made = Run.of(found, given, *tables)
    made.learn()
    return made


def bits(made):
    return joblib.hash([made.model, made.schema, made.judged, [rows.features for rows in made.sample]])


@pytest.mark.parametrize("estimator", ["", "MLP", "GaussianNB"])
@pytest.mark.parametrize(("name", "target"), TABLES.items())
def test_the_model_is_the_same_to_the_bit_however_the_files_are_spread(tmp_path, shards, name, target, estimator):
    files = shards(name, 5)
    kind = "Regressor" if name == "diabetes" else "Classifier"
    if estimator == "GaussianNB" and name == "diabetes":
        pytest.skip("only classifies")
    chosen = estimator + kind if estimator == "MLP" else estimator
    given = options(target, **({"estimator": chosen, "scale": True} if chosen else {}))
    size = DIGITS if name == "digits" else SIZE
    alone = run(tmp_path, given, size=size)
    for seed in range(2):
        generator = random.Random(seed)
        shares = {f"algo-{number}": [] for number in range(1, 4)}
        for file in files:
            shares[generator.choice(list(shares))].append(file)
        spread = run(tmp_path, given, Spread({host: share for host, share in shares.items() if share}), size=size)
        assert bits(spread) == bits(alone)
    everywhere = Spread(dict.fromkeys(["algo-1", "algo-2"], files))
    everywhere._shares["algo-1"] = everywhere._shares["algo-2"] = files
    whole = job(tmp_path)
    table = Table.find(whole.channel("training"), everywhere, whole.environment, tmp_path, size)
    assert {block.host for block in table.blocks} == {"algo-1", "algo-2"}
    replicated = Run.of(whole, given, table, None)
    replicated.learn()
    assert bits(replicated) == bits(alone)


@pytest.mark.parametrize(
    ("name", "target", "least"),
    [("iris", 0, 0.8), ("digits", 0, 0.9), ("penguins", "species", 0.93), ("diabetes", "progression", 0.3)],
)
def test_it_learns(tmp_path, shards, name, target, least):
    shards(name, 3)
    metrics = run(tmp_path, options(target, passes=20), size=DIGITS).judged.metrics()
    assert metrics.get("accuracy", metrics.get("r2")) > least


def test_naive_bayes_is_what_it_is_when_fitted_to_all_rows(tmp_path, shards):
    """Counting has no order: held against scikit-learn's own fit."""
    shards("iris", 3)
    found = run(tmp_path, options(0, estimator="GaussianNB", validation_fraction=0, passes=None))
    table = data.read(job(tmp_path).channel("training"))
    whole = GaussianNB().fit(table.iloc[:, 1:].to_numpy(), table.iloc[:, 0].to_numpy())
    np.testing.assert_allclose(found.model.theta_, whole.theta_, rtol=1e-12)
    np.testing.assert_array_equal(found.model.class_count_, whole.class_count_)


def test_held_out_rows_are_the_share_asked_for_and_never_learned(tmp_path, shards):
    shards("digits", 4)
    made = run(tmp_path, options(0, validation_fraction=0.25), size=DIGITS)
    held, total = made.judged.rows, len(datasets.digits().rows)
    assert 0.2 < held / total < 0.3
    assert made.learned == total - held
    numbers = np.concatenate([rows.numbers for rows in made.sample])
    assert len(numbers) == held
    table = data.read(job(tmp_path).channel("training")).to_numpy()
    kept = np.concatenate([rows.features for rows in made.sample])
    np.testing.assert_array_equal(table[numbers - 1, 1:], kept)


def test_a_validation_channel_judges_and_all_else_is_learned(tmp_path, shards, capsys):
    shards("digits", 4)
    shards("iris", 1, "other")
    shards("digits", 1, "validation")
    made = run(tmp_path, options(0), size=DIGITS)
    total = len(datasets.digits().rows)
    assert (made.learned, made.judged.rows) == (total, total)
    assert capsys.readouterr().out.count("validation:accuracy=") == 2


def test_metrics_are_told_after_each_pass(tmp_path, shards, capsys):
    shards("iris", 2)
    made = run(tmp_path, options(0, passes=4))
    told = [line for line in capsys.readouterr().out.splitlines() if "accuracy" in line and "balanced" not in line]
    assert len(told) == 4
    assert told[-1] == f"validation:accuracy={made.judged.metrics()['accuracy']:.6g};"


def test_a_sample_is_about_as_large_as_it_should_be(tmp_path, shards, monkeypatch):
    monkeypatch.setattr(incremental, "SAMPLE", 100)
    shards("digits", 4)
    made = run(tmp_path, options(0), size=DIGITS)
    assert 60 < sum(map(len, made.sample)) < 140
    assert made.judged.rows > 300


class Told(StopNotice):
    """Told to stop after it was asked so often."""

    def __init__(self, after):
        super().__init__()
        self._left = after

    @property
    def requested(self):
        self._left -= 1
        self._signum = 15 if self._left < 0 else None
        return super().requested


@pytest.mark.parametrize("after", [0, 3, 11])
def test_a_stop_keeps_what_is_learned_after_the_block(tmp_path, shards, after):
    shards("digits", 3)
    made = run(tmp_path, options(0, passes=3), notice=Told(after), size=DIGITS)
    assert made.learned < 3 * len(datasets.digits().rows)
    assert final(made.model).coef_.shape == (10, 64)
    made.save()
    facts = json.loads((tmp_path / "model/metrics.json").read_bytes())
    assert facts["serving"]["engine"] == "sklearn"
    assert 0 <= facts["metrics"]["accuracy"] <= 1
    assert len(Schema.load(tmp_path / "model").classes) == 10


@pytest.mark.parametrize("estimator", ["SGDClassifier", "MLPClassifier", "Perceptron", "GaussianNB"])
def test_a_job_goes_on_from_its_checkpoint_to_the_same_model(tmp_path, shards, estimator):
    shards("penguins", 3)
    (tmp_path / "checkpoints").mkdir()
    given = {"estimator": estimator, "scale": True}
    run(tmp_path, options("species", passes=2, **given))
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    gone_on = run(tmp_path, options("species", passes=4, **given))
    shutil.rmtree(tmp_path / "checkpoints")
    straight = run(tmp_path, options("species", passes=4, **given))
    rows = straight.sample[0].features
    np.testing.assert_array_equal(gone_on.model.predict(rows), straight.model.predict(rows))
    assert gone_on.judged.pairs == straight.judged.pairs


def test_a_checkpoint_of_other_data_is_passed_over(tmp_path, shards, caplog):
    shards("iris", 3)
    (tmp_path / "checkpoints").mkdir()
    run(tmp_path, options(0))
    shards("iris", 2)
    run(tmp_path, options(0))
    assert "of other data, hyperparameters or library versions and passed over" in caplog.text


def test_numbers_in_one_file_and_text_in_another_are_text_spelt_as_they_are(tmp_path, caplog):
    folder = tmp_path / "input/data/training"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("y,code,n\n" + "u,007,1\nv,8,2\n" * 20)
    (folder / "b.csv").write_text("y,code,n\n" + "u,x,1\nv,007,2\n" * 20)
    made = run(tmp_path, options("y"))
    (code,) = [column for column in made.schema.columns if column.name == "code"]
    assert (code.kind, code.categories) == ("text", ("007", "8", "x"))
    assert "column 'code' is text in" in caplog.text
    assert "b.csv, from line 2 on" in caplog.text


MISTAKES = {
    "infinite": ({"a": "y,n\nu,1\nv,inf\n"}, "a.csv, from line 2 on: column 'n', row 2: the number is infinite"),
    "long row": ({"a": "y,n\nu,1\nv,2,3\n"}, "a.csv, line 3: 3 values, not 2"),
    "no such target": ({"a": "z,n\nu,1\nv,2\n"}, "target='y' is not a column"),
}


@pytest.mark.parametrize(("files", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_told(tmp_path, files, message):
    folder = tmp_path / "input/data/training"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / f"{name}.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        run(tmp_path, options("y"))


def test_a_feature_that_the_estimator_cannot_take_is_told(tmp_path, shards):
    shards("diabetes", 2)
    with pytest.raises(DataError, match="MultinomialNB cannot be fitted on this data: Negative values"):
        run(tmp_path, options("progression", estimator="MultinomialNB", problem_type="classification"))


def test_stopped_before_the_first_block_there_is_no_model(tmp_path, shards, monkeypatch):
    shards("iris", 1)
    monkeypatch.setattr(Run, "_learn_once", lambda *_: False)
    notice = StopNotice()
    notice._signum = signal.SIGTERM
    with pytest.raises(Stopped):
        run(tmp_path, options(0), notice=notice)


def test_the_default_is_a_linear_model_that_is_scaled_and_knows_probabilities(tmp_path, shards):
    shards("iris", 1)
    made = run(tmp_path, options(0))
    assert isinstance(final(made.model), SGDClassifier)
    assert made.model[0].named_transformers_["numbers"].scale_.shape == (4,)
    assert made.model.predict_proba(made.sample[0].features[:2]).shape == (2, 3)
