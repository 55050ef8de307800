"""What scikit-learn can fit, by what it is: labels, probabilities, numbers, clusters, scores, columns and texts."""

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import DBSCAN, KMeans
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor, IsolationForest, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from byoc.errors import ModelError, RowError
from byoc.flavors import sklearn as flavor
from byoc.flavors.estimator import Estimator
from byoc.predictions import Predictions
from byoc.serving.formats import records
from tests import datasets

ROWS, CLASSES = load_iris(return_X_y=True)
NAMES = load_iris().target_names[CLASSES]


def test_a_classifier_from_its_file(tmp_path):
    forest = RandomForestClassifier(10, random_state=0, n_jobs=-1).fit(ROWS, NAMES)
    flavor.save(forest, tmp_path)
    model = flavor.open_model(tmp_path / "model.skops")
    told = model.predict(ROWS)
    assert told.labels.tolist() == forest.predict(ROWS).tolist()
    np.testing.assert_array_equal(told.probabilities, forest.predict_proba(ROWS))
    assert told.classes == ("setosa", "versicolor", "virginica")
    assert all(type(name) is str for name in told.classes)
    assert (model.takes, model.schema.names) == ("array", ("column_0", "column_1", "column_2", "column_3"))
    assert (model.schema.problem_type, model.schema.classes) == ("classification", told.classes)


def test_no_estimator_keeps_a_pool():
    """Also within a pipeline: a request's few rows would wait for threads."""
    pipeline = make_pipeline(StandardScaler(), RandomForestClassifier(3, n_jobs=2)).fit(ROWS, CLASSES)
    Estimator(pipeline)
    assert pipeline[-1].n_jobs is None


def test_labels_without_probabilities():
    told = Estimator(LinearSVC().fit(ROWS, NAMES)).predict(ROWS)
    assert (told.probabilities, told.classes) == (None, ("setosa", "versicolor", "virginica"))


def test_missing_values_are_let_in_where_the_estimator_can_do_with_them():
    data, numbers = load_diabetes(return_X_y=True)
    linear, boosting = (
        LinearRegression().fit(data, numbers),
        HistGradientBoostingRegressor(max_iter=3).fit(data, numbers),
    )
    assert not any(column.missing for column in Estimator(linear).schema.columns)
    assert not any(
        column.missing
        for column in Estimator(make_pipeline(StandardScaler(), linear).fit(data, numbers)).schema.columns
    )
    assert all(column.missing for column in Estimator(boosting).schema.columns)
    told = Estimator(boosting).predict(data)
    assert isinstance(told, Predictions)
    np.testing.assert_array_equal(told.labels, boosting.predict(data))
    assert (told.probabilities, told.classes, Estimator(boosting).schema.problem_type) == (None, (), "regression")


def test_several_targets_are_rows_of_numbers():
    data, numbers = load_diabetes(return_X_y=True)
    linear = LinearRegression().fit(data, np.column_stack([numbers, -numbers]))
    np.testing.assert_array_equal(Estimator(linear).predict(data[:5]), linear.predict(data[:5]))
    forest = RandomForestClassifier(3).fit(ROWS, np.column_stack([CLASSES, CLASSES == 1]))
    np.testing.assert_array_equal(Estimator(forest).predict(ROWS), forest.predict(ROWS))


def test_clusters_transformers_and_outliers():
    clusters = KMeans(3, random_state=0, n_init=1).fit(ROWS)
    np.testing.assert_array_equal(Estimator(clusters).predict(ROWS), clusters.labels_)
    pca = PCA(2).fit(ROWS)
    np.testing.assert_array_equal(Estimator(pca).predict(ROWS), pca.transform(ROWS))
    encoder = OneHotEncoder().fit(ROWS)
    np.testing.assert_array_equal(Estimator(encoder).predict(ROWS), encoder.transform(ROWS).toarray())
    for detector in (IsolationForest(n_estimators=10, random_state=0), LocalOutlierFactor(novelty=True)):
        detector.fit(ROWS)
        told = Estimator(detector).predict(ROWS)
        assert [row["predicted_label"] for row in told] == detector.predict(ROWS).tolist()
        assert [row["score"] for row in told] == detector.decision_function(ROWS).tolist()


@pytest.mark.parametrize("estimator", [DBSCAN(), LocalOutlierFactor()])
def test_what_knows_only_its_own_rows_is_refused(estimator):
    with pytest.raises(ModelError, match=f"{type(estimator).__name__} has neither predict nor transform"):
        Estimator(estimator.fit(ROWS))


@pytest.fixture(scope="module")
def penguins():
    """(table, estimator, estimator's table) of text and numbers, fitted on a frame."""
    dataset = datasets.penguins()
    table = pd.DataFrame(dataset.rows, columns=dataset.header).query("sex != 'NA' and bill_length_mm != 'NA'")
    table["bill_length_mm"] = pd.to_numeric(table["bill_length_mm"])
    columns = ["island", "bill_length_mm", "sex"]
    pipeline = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["island", "sex"]), remainder="passthrough"),
        LogisticRegression(max_iter=1000),
    ).fit(table[columns], table["species"])
    return table[columns], Estimator(pipeline), pipeline


def test_columns_of_text_go_by_name(penguins):
    table, model, pipeline = penguins
    assert (model.takes, model.schema) == ("frame", None)
    wanted = pipeline.predict_proba(table)
    np.testing.assert_array_equal(model.predict(table).probabilities, wanted)
    np.testing.assert_array_equal(model.predict(table[table.columns[::-1]].assign(other=1)).probabilities, wanted)
    by_position = table.set_axis(range(3), axis="columns")
    np.testing.assert_array_equal(model.predict(by_position).probabilities, wanted)
    with pytest.raises(RowError, match="column sex: is not in the request"):
        model.predict(table.drop(columns="sex"))
    with pytest.raises(RowError, match="column sex: is not in the request"):
        model.predict(by_position[[0, 1]].set_axis(["island", "bill_length_mm"], axis="columns"))


def test_texts():
    texts = ["a good film", "good and funny", "a bad film", "bad and dull"] * 5
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, ["+", "+", "-", "-"] * 5)
    model = Estimator(pipeline)
    assert (model.takes, model.schema) == ("records", None)
    told = model.predict(records.build([[text] for text in texts], None, None))
    assert told.labels.tolist() == pipeline.predict(texts).tolist()
    np.testing.assert_array_equal(told.probabilities, pipeline.predict_proba(texts))
    assert len(model.predict(records.build([[None], [7]], None, None))) == 2
    for wrong in (records.build([["a", "b"]], None, None), records.from_matrix(ROWS, None)):
        with pytest.raises(RowError, match="must be one text"):
            model.predict(wrong)
