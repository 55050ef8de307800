"""The five dialects of hyperparameter strings (CONTRACT 2.2), value by value."""

import json

import pytest

from byoc.training.hyperparameters import decode, user_values

# value → as boto3's users type it · SDK v2 frameworks (JSON of all) · SDK v2 Estimator (str) · SDK v3 (JSON, text raw)
# · SDK v2 tuner (str, then JSON)
VALUES = [
    5,
    -3,
    0.1,
    1e-05,
    True,
    False,
    None,
    "adam",
    "s3://bucket/key",
    "text with spaces",
    [1, 2],
    ["a", "b"],
    {"a": 1},
]


def dialects(value):
    text = value if isinstance(value, str) else json.dumps(value)
    return {
        "boto3": str(value),
        "framework": json.dumps(value),
        "estimator": str(value),
        "v3": text,
        "tuner": json.dumps(str(value)),
    }


CASES = [
    pytest.param(text, value, id=f"{dialect}: {text}") for value in VALUES for dialect, text in dialects(value).items()
]


@pytest.mark.parametrize(("text", "value"), CASES)
def test_every_dialect_gives_the_same_value(text, value):
    """CONTRACT checks 5 and 6."""
    decoded = decode(text)
    assert decoded == value
    assert type(decoded) is type(value)


# What no dialect writes, yet somebody types.
ODD = [
    ("", ""),
    (" ", " "),
    ("5.0", 5.0),
    ("(64, 32)", (64, 32)),
    ("'quoted'", "quoted"),
    (" 7 ", 7),
    ("true", True),
    ('"true"', True),
    ("5th", "5th"),
    ("1e3", 1000.0),
    (r"\d+", r"\d+"),
    ("[1, 2", "[1, 2"),
    ("{[]: 1}", "{[]: 1}"),
    ("a\0b", "a\0b"),
    ("1j", "1j"),
    ("b'x'", "b'x'"),
    ("{1, 2}", "{1, 2}"),
    ("__import__('os').getpid()", "__import__('os').getpid()"),
]


@pytest.mark.parametrize(("text", "value"), ODD)
def test_odd_texts(text, value):
    assert decode(text) == value


@pytest.mark.parametrize("text", ["[" * 2500, "(" * 2500, "9" * 2500, "-" * 2500, "{" * 2500])
def test_the_longest_texts_end_no_job(text):
    decode(text)


RESERVED = {
    "sagemaker_program": '"train.py"',
    "sagemaker_submit_directory": "s3://bucket/source.tar.gz",
    "sagemaker_region": "eu-west-1",
    "sagemaker_anything_new": "1",
    "_tuning_objective_metric": "validation:rmse",
    "default_user_module_name": "x",
}


def test_reserved_names_are_the_platforms():
    """CONTRACT check 7."""
    assert user_values({**RESERVED, "max_depth": "5", "sagemaker": "mine"}) == {"max_depth": 5, "sagemaker": "mine"}
