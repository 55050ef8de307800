"""Hyperparameters of the sample algorithm: what is taken, and what is refused with name, value and the allowed."""

import pytest
from sklearn.base import is_classifier
from sklearn.utils import all_estimators

from byoc.errors import UserError
from byoc.training.hyperparameters import user_values
from tabular import partial_fit
from tabular.options import HyperparameterError, Options, find_class


def read(**raw):
    return Options.read(user_values(raw))


def test_nothing_given_is_the_default():
    """CONTRACT check 4."""
    assert read() == Options()
    assert type(Options().make_estimator("classification")).__name__ == "HistGradientBoostingClassifier"
    assert type(Options().make_estimator("regression")).__name__ == "HistGradientBoostingRegressor"


def test_reserved_names_reach_no_estimator():
    """CONTRACT check 7."""
    assert read(sagemaker_program="train.py", sagemaker_region='"x"', _tuning_objective_metric="rmse") == Options()


# name · text · value
OWN = [
    ("target", "species", "species"),
    ("target", '"species"', "species"),
    ("target", "-1", -1),
    ("target", "2.0", 2),
    ("problem_type", '"regression"', "regression"),
    ("validation_fraction", "0.3", 0.3),
    ("validation_fraction", "0", 0),
    ("scale", "True", True),
    ("scale", "true", True),
    ("scale", '"true"', True),
    ("seed", "5", 5),
    ("seed", '"5"', 5),
    ("seed", "5.0", 5),
    ("estimator", '"SVC"', "SVC"),
    ("incremental", "true", True),
    ("incremental", "False", False),
    ("passes", "7", 7),
    ("passes", "7.0", 7),
]


@pytest.mark.parametrize(("name", "text", "value"), OWN)
def test_own_options_in_every_dialect(name, text, value):
    """CONTRACT check 6."""
    taken = getattr(read(**{name: text}), name)
    assert taken == value
    assert type(taken) is type(value)


# hyperparameters · what the message must hold
BAD = [
    ({"estimator": "5"}, ["estimator=5", "class name"]),
    ({"estimator": "Forest"}, ["estimator='Forest'", "RandomForestRegressor"]),
    ({"estimator": "KMeans"}, ["estimator='KMeans'", "not a scikit-learn classifier or regressor"]),
    ({"estimator": "os.system"}, ["estimator='os.system'"]),
    ({"estimator": "VotingClassifier"}, ["estimator='VotingClassifier'", "estimators", "stands alone"]),
    ({"estimator": "SVR", "problem_type": "classification"}, ["estimator='SVR'", "does not do classification"]),
    ({"target": "[1]"}, ["target=[1]", "name or its position"]),
    ({"target": "true"}, ["target=True"]),
    ({"target": "0.5"}, ["target=0.5"]),
    ({"problem_type": "clustering"}, ["problem_type='clustering'", "classification, regression"]),
    ({"problem_type": "[1]"}, ["problem_type=[1]"]),
    ({"validation_fraction": "1"}, ["validation_fraction=1", "from 0 to below 1"]),
    ({"validation_fraction": "-0.1"}, ["validation_fraction=-0.1"]),
    ({"validation_fraction": "NaN"}, ["validation_fraction=nan"]),
    ({"validation_fraction": "half"}, ["validation_fraction='half'"]),
    ({"scale": "yes"}, ["scale='yes'", "true or false"]),
    ({"seed": "-1"}, ["seed=-1", "whole number"]),
    ({"seed": "1.5"}, ["seed=1.5"]),
    ({"seed": "true"}, ["seed=True"]),
    ({"seed": "4294967296"}, ["seed=4294967296", "4294967295"]),
    (
        {"max_dept": "5"},
        ["max_dept=5 is not a hyperparameter of HistGradientBoosting", "max_depth", "validation_fraction"],
    ),
    ({"parameters": "1"}, ["parameters=1 is not a hyperparameter"]),
    ({"self": "1"}, ["self=1 is not a hyperparameter"]),
    ({"max_iter": "many"}, ["max_iter='many'", "int in the range [1, inf)"]),
    ({"estimator": "DecisionTreeClassifier", "max_leaf_nodes": "1"}, ["max_leaf_nodes=1", "[2, inf)", "None"]),
    ({"estimator": "DecisionTreeClassifier", "criterion": "mse"}, ["criterion='mse'", "gini"]),
    ({"estimator": "RandomForestRegressor", "n_estimators": "5.5"}, ["n_estimators=5.5"]),
    ({"estimator": "LogisticRegression", "C": "strong"}, ["C='strong'"]),
    ({"incremental": "5"}, ["incremental=5", "true or false"]),
    ({"passes": "0"}, ["passes=0", "from 1 to"]),
    ({"passes": "2.5"}, ["passes=2.5"]),
    ({"incremental": "true", "search": '{"space": {"alpha": [1, 2]}}'}, ["search cannot go with incremental"]),
    (
        {"incremental": "true", "estimator": "RandomForestClassifier"},
        [
            "estimator='RandomForestClassifier' cannot learn block by block",
            "SGDClassifier, Perceptron",
            "FullyReplicated",
        ],
    ),
    ({"incremental": "true", "max_iter": "5"}, ["max_iter has no meaning", "passes"]),
    (
        {"incremental": "true", "estimator": "SGDClassifier", "class_weight": "balanced"},
        ["'balanced' is not supported"],
    ),
    ({"incremental": "true", "early_stopping": "true"}, ["cannot learn block by block", "early_stopping"]),
]


def test_incremental_is_the_default_where_the_data_is_sharded():
    assert Options.read({}, sharded=True).incremental is True
    assert Options.read({"incremental": False}, sharded=True).incremental is False
    assert Options.read({}).incremental is None
    assert Options.read({"alpha": 0.1}, sharded=True).make_estimator("classification").loss == "log_loss"
    assert type(Options.read({}, sharded=True).make_estimator("regression")).__name__ == "SGDRegressor"


@pytest.mark.parametrize("name", partial_fit.ESTIMATORS)
def test_an_estimator_that_learns_in_parts_can_be_named(name):
    assert Options.read({"incremental": True, "estimator": name}).incremental


def test_all_that_learn_in_parts_are_told():
    """But for what is built from others, and what scikit-learn gives up."""
    able = {name for name, each in all_estimators(["classifier", "regressor"]) if hasattr(each, "partial_fit")}
    passed_over = {name for name in able if name.startswith(("OneVs", "MultiOutput", "PassiveAggressive"))}
    assert set(partial_fit.ESTIMATORS) == able - passed_over


@pytest.mark.parametrize(("raw", "words"), BAD, ids=[str(raw) for raw, _ in BAD])
def test_what_is_refused_is_told_with_name_value_and_the_allowed(raw, words):
    """CONTRACT check 8."""
    with pytest.raises(UserError) as refused:
        read(**raw)
    for word in words:
        assert word in str(refused.value)


def test_all_problems_are_told_at_once():
    with pytest.raises(UserError) as refused:
        read(seed="-1", scale="3", problem_type="x")
    assert len(refused.value.problems) == 3
    with pytest.raises(UserError) as refused:
        read(estimator="DecisionTreeClassifier", max_leaf_nodes="1", max_depth="x")
    assert len(refused.value.problems) == 2


# estimator · parameter · text · value
PARAMETERS = [
    *(
        ("DecisionTreeClassifier", "max_leaf_nodes", text, 5)
        for text in ("5", '"5"', '"\\"5\\""', "5.0", '"5.0"', " 5 ")
    ),
    ("DecisionTreeClassifier", "max_leaf_nodes", "None", None),
    ("DecisionTreeClassifier", "max_leaf_nodes", "null", None),
    ("DecisionTreeClassifier", "max_leaf_nodes", '"None"', None),
    ("DecisionTreeClassifier", "criterion", "entropy", "entropy"),
    ("DecisionTreeClassifier", "criterion", '"entropy"', "entropy"),
    ("DecisionTreeClassifier", "max_features", "0.5", 0.5),
    ("DecisionTreeClassifier", "max_features", "sqrt", "sqrt"),
    ("DecisionTreeClassifier", "class_weight", '{"a": 1, "b": 2}', {"a": 1, "b": 2}),
    ("DecisionTreeClassifier", "random_state", "7", 7),
    ("RandomForestRegressor", "n_estimators", "25", 25),
    ("RandomForestRegressor", "n_estimators", "2.5e1", 25),
    *(("RandomForestRegressor", "bootstrap", text, False) for text in ("False", "false", '"false"', '"False"')),
    ("MLPClassifier", "hidden_layer_sizes", "[64, 32]", [64, 32]),
    ("MLPClassifier", "hidden_layer_sizes", "(64, 32)", (64, 32)),
    ("MLPClassifier", "hidden_layer_sizes", '"[64, 32]"', [64, 32]),
    ("MLPClassifier", "hidden_layer_sizes", "64", 64),
    ("SVC", "probability", "True", True),
    ("LogisticRegression", "C", "10", 10),
    ("HistGradientBoostingClassifier", "learning_rate", '"0.05"', 0.05),
]


@pytest.mark.parametrize(("estimator", "name", "text", "value"), PARAMETERS)
def test_estimators_parameters_in_every_dialect(estimator, name, text, value):
    """CONTRACT checks 5 and 6."""
    options = read(estimator=estimator, **{name: text})
    (kind,) = options.kinds
    taken = options.make_estimator(kind).get_params()[name]
    assert taken == value
    assert type(taken) is type(value)


ALONE = [name for kind in ("classifier", "regressor") for name, cls in all_estimators(type_filter=kind)]
BUILT_OF_OTHERS = {
    "ClassifierChain",
    "FixedThresholdClassifier",
    "MultiOutputClassifier",
    "MultiOutputRegressor",
    "OneVsOneClassifier",
    "OneVsRestClassifier",
    "OutputCodeClassifier",
    "RegressorChain",
    "SelfTrainingClassifier",
    "StackingClassifier",
    "StackingRegressor",
    "TransformedTargetRegressor",
    "TunedThresholdClassifierCV",
    "VotingClassifier",
    "VotingRegressor",
}


@pytest.mark.filterwarnings("ignore:.*deprecated:FutureWarning")
@pytest.mark.parametrize("name", ALONE)
def test_every_estimator_that_stands_alone_can_be_named(name):
    if name in BUILT_OF_OTHERS:
        with pytest.raises(HyperparameterError, match=f"estimator='{name}'"):
            find_class(name)
        return
    options = Options.read({"estimator": name, "seed": 3})
    (kind,) = options.kinds
    estimator = options.make_estimator(kind, cpus=2)
    assert type(estimator).__name__ == name
    assert is_classifier(estimator) is (kind == "classification")
    assert estimator.get_params().get("random_state", 3) == 3
