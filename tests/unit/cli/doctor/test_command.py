"""What `byoc doctor` makes of its arguments, before any container is started."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from byoc_cli.doctor.check import GROUPS
from byoc_cli.doctor.command import DATA, chosen, first_rows, parsed
from byoc_cli.main import main


@pytest.mark.parametrize(
    ("only", "numbers"),
    [
        ("39", {39}),
        ("batch", set(range(75, 86))),
        ("1, 2,pipelines", {1, 2, 99, 100, 101}),
        (None, set(range(1, 109))),
    ],
)
def test_only_takes_groups_and_numbers(only, numbers):
    assert chosen(only) == numbers


@pytest.mark.parametrize("only", ["109", "0", "trainings", "", "1,,2", "-3"])
def test_only_refuses_what_is_neither(only):
    with pytest.raises(click.BadParameter, match="is neither a number from 1 to 108 nor one of training, failure"):
        chosen(only)


def test_hyperparameters_become_text_as_sagemaker_writes_them():
    assert parsed('{"a": 1, "b": "x", "c": true, "d": [1]}') == {"a": "1", "b": "x", "c": "true", "d": "[1]"}


@pytest.mark.parametrize(("text", "message"), [("{", "is no JSON"), ("[1]", "must be an object like")])
def test_hyperparameters_that_are_no_object(text, message):
    with pytest.raises(click.BadParameter, match=message):
        parsed(text)


def test_the_payload_is_rows_without_the_label():
    rows = first_rows(DATA).decode().splitlines()
    assert len(rows) == 4
    assert all([float(value) for value in row.split(",")] for row in rows)
    assert all(len(row.split(",")) == 4 for row in rows)


def test_data_without_csv_needs_a_payload(tmp_path):
    with pytest.raises(click.UsageError, match="has no CSV file to take rows from; give --payload and --content-type"):
        first_rows(tmp_path)


def test_list_needs_no_image():
    done = CliRunner().invoke(main, ["doctor", "--list", "--only", "38,66"])
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "signals",
        "   38  M  `docker stop` in the middle of training",
        "errors",
        "   66  M  sent a media type that does not exist, then none",
    ]


def test_the_image_is_asked_for():
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 2
    assert "Missing argument 'IMAGE': byoc doctor IMAGE" in done.output


def test_the_groups_are_the_whole_checklist():
    assert [number for numbers in GROUPS.values() for number in numbers] == list(range(1, 109))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--native", "/no/such/folder"], "/no/such/folder has no program `train`; name another folder by --native"),
        (["an-image", "--native", "a/folder"], "--native runs a folder's programs and no image: leave IMAGE out"),
    ],
)
def test_native_needs_a_folder_with_programs_and_no_image(arguments, message):
    done = CliRunner().invoke(main, ["doctor", *arguments])
    assert done.exit_code != 0
    assert message in done.output
