"""The training report: pages made from real models are read back, with the names a malicious data set could have."""

import csv
import math
import re
from html import unescape
from html.parser import HTMLParser
from importlib.resources import files
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as reference
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeClassifier

from tabular import charts
from tabular import svg as drawing
from tabular.evaluate import Evaluation, Importance, evaluate
from tabular.report import render

SVG = "{http://www.w3.org/2000/svg}"
FACTS = {"Estimator": "The estimator", "Training rows": "105", "Library versions": "scikit-learn 1, numpy 2"}
HOSTILE = (
    "<script>alert(1)</script>",
    "\"quoted\" & 'apostrophe' onload=x",
    "</title></svg></style>",
    "Ünïcode 漢字漢字漢字漢字漢字 🐧",
    "x" * 5_000,
    "line\nbreak \x00\x1b and \ud800",
    "",
    "]]><!--",
)


def penguins():
    with (files("palmerpenguins") / "data" / "penguins.csv").open(encoding="utf-8") as lines:
        birds = [bird for bird in csv.DictReader(lines) if bird["body_mass_g"] not in ("", "NA")]
    names = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
    features = np.array([[float(bird[name]) for name in names] for bird in birds])
    return features, np.array([bird["species"] for bird in birds]), names


def from_scikit_learn(load):
    def data():
        bunch = load()
        names = list(bunch.feature_names)
        return bunch.data, bunch.target_names[bunch.target] if load is load_iris else bunch.target, names

    return data


MODELS = {
    "iris": (from_scikit_learn(load_iris), LogisticRegression(C=0.05)),
    "breast cancer": (from_scikit_learn(load_breast_cancer), RandomForestClassifier(20, random_state=0)),
    "digits": (from_scikit_learn(load_digits), DecisionTreeClassifier(random_state=0)),
    "penguins": (penguins, RidgeClassifier()),
    "diabetes": (from_scikit_learn(load_diabetes), HistGradientBoostingRegressor(max_iter=30, random_state=0)),
}


def evaluation_of(name):
    data, estimator = MODELS[name]
    features, truth, columns = data()
    train, held_out, train_truth, held_out_truth = train_test_split(features, truth, test_size=0.3, random_state=7)
    kind = "regression" if name == "diabetes" else "classification"
    return evaluate(estimator.fit(train, train_truth), held_out, held_out_truth, columns, kind, seed=0)


class Page(HTMLParser):
    """Reads a page: the elements that are open must be closed, and their attributes and words are kept."""

    VOID = ("meta",)

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], set(), set(), []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)


def read(html):
    """Check what must hold for every page, and return its words."""
    page = Page(html)
    html.encode()  # a lone surrogate could not be written to the file
    assert "http" not in html.replace(SVG[1:-1], "")
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "a", "use", "image"}
    assert not {name for name in page.attributes if name.startswith("on") or name in ("src", "href", "srcset")}
    assert not re.search(r"@import|url\(", html)
    pictures = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    for picture in pictures:
        root = ET.fromstring(picture)
        assert root.tag == f"{SVG}svg"
        assert root.get("role") == "img"
        assert root.get("aria-label") == root.find(f"{SVG}title").text != ""
        numbers = [value for element in root.iter() for name, value in element.items() if name != "aria-label"]
        assert not any(re.search(r"\b(nan|inf)\b", value) for value in numbers)
    return len(pictures), " ".join(page.words)


@pytest.mark.parametrize(
    ("name", "pictures"), [("iris", 4), ("breast cancer", 4), ("digits", 4), ("penguins", 3), ("diabetes", 4)]
)
def test_a_page_is_whole_and_says_what_was_measured(name, pictures):
    evaluation = evaluation_of(name)
    html = render(evaluation, FACTS, {"C": 0.05, "solver": "lbfgs", "max_iter": None})
    drawn, words = read(html)
    assert drawn == pictures
    for said in ("The estimator", "scikit-learn 1, numpy 2", "0.05", "lbfgs", "None", evaluation.importances[0].column):
        assert said in words
    assert html == render(evaluation_of(name), FACTS, {"C": 0.05, "solver": "lbfgs", "max_iter": None})


def test_the_headline_of_a_classifier():
    evaluation = evaluation_of("iris")
    right, rows = int(np.sum(evaluation.predicted == evaluation.truth)), len(evaluation.truth)
    names, counts = np.unique(evaluation.truth, return_counts=True)
    _, words = read(render(evaluation, FACTS, {}))
    words = words.replace("\u00a0", " ")
    assert f"{100 * right / rows:.1f} % of the validation rows are labelled correctly; always answering the " in words
    assert f"commonest class, {names[counts.argmax()]}, would reach {100 * counts.max() / rows:.1f} %." in words
    interval = binomtest(right, rows).proportion_ci(method="wilson")
    assert f"between {100 * interval.low:.1f} % and {100 * interval.high:.1f} % (95 % confidence)" in words
    assert "no better" not in words
    assert "defaults hold" in words
    for mean in (evaluation.metrics["macro_f1"], evaluation.metrics["log_loss"]):
        assert f"{mean:.3f}" in words


def test_the_headline_of_a_regressor():
    evaluation = evaluation_of("diabetes")
    naive = float(np.mean(np.abs(evaluation.truth - evaluation.truth.mean())))
    _, words = read(render(evaluation, FACTS, {}))
    words = words.replace("\u00a0", " ")
    assert f"explain {round(100 * evaluation.metrics['r2'], 1):g} % of the target's variance" in words
    assert (
        f"by {evaluation.metrics['mae']:.4g} on average; always answering the mean would miss by {naive:.4g}" in words
    )


def test_the_table_of_classes_agrees_with_scikit_learn():
    evaluation = evaluation_of("digits")
    table = reference.classification_report(evaluation.truth, evaluation.predicted, output_dict=True)
    html = render(evaluation, FACTS, {}).replace("\u00a0", " ")
    body = re.search(r"Class by class</h2>.*?<tbody>(.*?)</tbody>", html).group(1)
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", body)]
    expected = [
        [str(label), f"{round(100 * line['precision'], 1):g} %", f"{round(100 * line['recall'], 1):g} %"]
        for label, line in ((label, table[str(label)]) for label in evaluation.classes)
    ]
    assert [row[:3] for row in cells] == expected
    assert sum(int(row[3]) for row in cells) == len(evaluation.truth)


@pytest.mark.parametrize("name", ["breast cancer", "diabetes"])
def test_the_worst_rows_are_named_by_number_only(name):
    evaluation = evaluation_of(name)
    numbers = np.arange(len(evaluation.truth)) + 7_000_000
    if name == "diabetes":
        badness = np.abs(evaluation.predicted - evaluation.truth)
    else:
        badness = np.where(evaluation.predicted == evaluation.truth, 0, evaluation.probabilities.max(axis=1))
    worst = [
        f"{number:,}" for number in numbers[np.argsort(-badness, kind="stable")[:10]] if badness[number - 7_000_000]
    ]
    html = render(evaluation, FACTS, {}, rows=numbers.tolist())
    assert re.findall(r"7,000,\d{3}", html) == worst != []
    assert "counted from 1 in the order in which the files are read" in html
    with pytest.raises(ValueError, match="1 row numbers"):
        render(evaluation, FACTS, {}, rows=[1])


@pytest.mark.parametrize(
    ("truth", "predicted", "said"),
    [
        (["a", "a", "b"], ["a", "a", "a"], "no better than that"),
        (["a", "b", "b"], ["a", "b", "b"], "100 % of the validation rows"),
        (["new"], ["a"], "Measured on 1 row,"),
        ([1.0, 2.0, 3.0], [3.0, 2.0, 1.0], "explain nothing of the target"),
        ([1.0, 1.0], [1.0, 1.0], "The predictions miss by 0 on average"),
        ([5.0], [4.0], "The predictions miss by 1 on average"),
        ([1.0, 2.0], [math.inf, math.nan], "the fit has diverged"),
        ([1e300, -1e300], [1e300, 0.0], "R²"),
        ([True, False], [True, True], "50 % of the validation rows"),
    ],
)
def test_edges(truth, predicted, said):
    numeric = isinstance(truth[0], float)
    metrics = {} if not numeric else {"mae": float(np.mean(np.abs(np.subtract(predicted, truth))))}
    if numeric and len(set(truth)) > 1:
        metrics["r2"] = 1 - float(np.mean(np.subtract(predicted, truth) ** 2 / np.var(truth))) if truth[0] < 9 else 0.5
    if not all(map(np.isfinite, metrics.values())):
        metrics = {}
    classes = () if numeric else ("a", "b") if isinstance(truth[0], str) else (False, True)
    kind = "regression" if numeric else "classification"
    evaluation = Evaluation(kind, metrics, np.array(truth), np.array(predicted), classes, None, (), column_count=1)
    _, words = read(render(evaluation, {}, {}))
    assert said in words.replace("\u00a0", " ")


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_everything_a_user_can_name_is_escaped(kind):
    importances = tuple(Importance(name, 0.1, 0.01) for name in HOSTILE)
    size = len(HOSTILE)
    if kind == "classification":
        truth = np.array(HOSTILE, dtype=object)
        probabilities = np.full((size, size), 1 / size)
        evaluation = Evaluation(kind, {}, truth, truth[::-1], HOSTILE, probabilities, importances, column_count=99)
    else:
        truth = np.arange(size, dtype=float)
        evaluation = Evaluation(
            kind, {"r2": math.nan, "mae": 1.0}, truth, truth, (), None, importances, column_count=99
        )
    html = render(evaluation, {name: name for name in HOSTILE}, {name: [name] for name in HOSTILE})
    drawn, words = read(html)
    assert drawn >= 3
    assert "<script>alert(1)</script>" in words
    assert "Ünïcode" in words
    assert "(empty)" in words
    assert "Of 99 columns, the 8 that go most with the predictions were tried" in words
    assert not set(html) & {"\x00", "\x1b", "\ud800"}


def elements(svg, tag):
    return list(ET.fromstring(svg).iter(f"{SVG}{tag}"))


def test_confusion_matrix_counts_rows():
    evaluation = evaluation_of("digits")
    svg = charts.confusion_matrix(evaluation.truth, evaluation.predicted, evaluation.classes)
    counts = reference.confusion_matrix(evaluation.truth, evaluation.predicted)
    tips = [element.text for element in elements(svg, "title") if element.text.startswith("true ")]
    pattern = re.compile(r"true (\d), predicted (\d): ([\d,]+) rows, ([\d.]+)\u00a0% of the true \1")
    drawn = np.zeros_like(counts)
    for row, column, count, share in (pattern.fullmatch(tip).groups() for tip in tips):
        drawn[int(row), int(column)] = count
        assert float(share) == pytest.approx(100 * int(count) / counts[int(row)].sum(), abs=0.05)
    np.testing.assert_array_equal(drawn, counts)


def test_confusion_matrix_of_many_classes_shows_the_most_frequent():
    truth = np.repeat(np.arange(25), np.arange(1, 26))  # class 0 once, class 24 twenty-five times
    svg = charts.confusion_matrix(truth, truth, [f"c{index}" for index in range(25)])
    assert "The 20 most frequent of 25 classes." in svg
    assert ">c5<" in svg
    assert ">c4<" not in svg


@pytest.mark.parametrize(("name", "curves"), [("iris", 3), ("breast cancer", 1), ("digits", 8)])
def test_roc_curves_and_their_areas(name, curves):
    evaluation = evaluation_of(name)
    positions = np.searchsorted(evaluation.classes, evaluation.truth)
    svg = charts.roc_curves(positions, evaluation.probabilities, evaluation.classes)
    areas = {unescape(label): area for label, area in re.findall(r"<title>([^<:]+): AUC ([\d.]+)</title>", svg)}
    assert len(areas) == curves
    for label, area in areas.items():
        column = [str(one) for one in evaluation.classes].index(label)
        expected = reference.roc_auc_score(positions == column, evaluation.probabilities[:, column])
        assert float(area) == pytest.approx(expected, abs=0.0005)


@pytest.mark.parametrize(("rows", "points"), [(0, 0), (1, 1), (400, 400), (5_000, 1_000)])
def test_scatter_draws_a_bounded_number_of_points(rows, points):
    truth = np.random.default_rng(0).normal(size=rows)
    svg = charts.predicted_against_true(truth, truth + 1)
    assert len(elements(svg, "circle")) == points
    assert svg == charts.predicted_against_true(truth, truth + 1)


@pytest.mark.parametrize(
    "values", [[], [1.0], [7.0] * 9, [1e16, 1e16 + 2], [-1e308, 1e308], [math.nan, math.inf, 3.0], [0.0, 1e-300]]
)
def test_histogram_counts_every_finite_value(values):
    svg = charts.histogram(np.array(values), "values", mark=0)
    counts = [int(count) for count in re.findall(r": (\d+) rows</title>", svg)]
    assert sum(counts) == sum(map(math.isfinite, values))
    assert not re.search(r"nan|inf", svg)


def test_bars_of_classes_sum_up_the_rare_ones():
    truth = np.repeat(np.arange(30), np.arange(30, 0, -1))
    bars = charts.class_bars(truth, [f"class {index}" for index in range(30)])
    assert len(elements(bars, "rect")) == 21
    assert "10 others: 55 rows" in bars


def test_importances_below_zero_point_the_other_way():
    svg = charts.importance_bars([Importance("good", 0.5, 0.1), Importance("bad", -0.25, 0.0)])
    good, bad = elements(svg, "rect")
    assert float(bad.get("width")) == pytest.approx(float(good.get("width")) / 2, abs=0.1)
    assert float(bad.get("x")) + float(bad.get("width")) == pytest.approx(float(good.get("x")), abs=0.1)
    assert "\u22120.250" in svg


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (3.14159, "3.142"),
        (-2, "\u22122"),
        (1234, "1,234"),
        (9999.99, "10,000"),
        (98765.4, "98,765"),
        (1.5e12, "1.5e12"),
        (2e-7, "2e\u22127"),
        (math.nan, "\u2013"),
        (-math.inf, "\u2013"),
    ],
)
def test_numbers_for_people(value, shown):
    assert drawing.number(value) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0, "0 %"), (1, "100 %"), (0.9333, "93.3 %"), (0.99999, "> 99.9 %"), (0.00001, "< 0.1 %"), (0.5, "50 %")],
)
def test_percentages_never_pretend_to_be_all_or_none(share, shown):
    assert drawing.percent(share).replace("\u00a0", " ") == shown
