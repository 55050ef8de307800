from __future__ import annotations

import json
import logging

import pytest
from werkzeug import Request
from werkzeug.test import EnvironBuilder

from byoc_cli.emulator.api import Api, within
from byoc_cli.emulator.errors import ApiError, exists, invalid, missing

DONE = {"ListTrainingJobs": frozenset({"MaxResults", "NameContains"})}
EXCUSED = {"ListTrainingJobs": {"WarmPoolStatusEquals": "there are no warm pools"}}


def api(**operations) -> Api:
    return Api(operations, EXCUSED, DONE, {"Nudge": lambda call: {"nudged": call["Name"]}})


def ask(made: Api, target: str, body: bytes | str = "{}"):
    request = Request(EnvironBuilder(method="POST", data=body, headers={"X-Amz-Target": target}).get_environ())
    answer = made.answer(request)
    return answer.status_code, json.loads(answer.get_data()), answer


def test_does_the_operation_and_leaves_out_what_is_null():
    made = api(ListTrainingJobs=lambda call: {"TrainingJobSummaries": [], "seen": call})
    status, told, answer = ask(made, "SageMaker.ListTrainingJobs", '{"MaxResults": 5, "NameContains": null}')
    assert (status, told["seen"]) == (200, {"MaxResults": 5})
    assert answer.mimetype == "application/x-amz-json-1.1"
    assert answer.headers["x-amzn-RequestId"]


def test_an_operation_may_answer_nothing():
    assert ask(api(StopTrainingJob=lambda call: None), "SageMaker.StopTrainingJob", '{"TrainingJobName": "a"}')[:2] == (
        200,
        {},
    )


@pytest.mark.parametrize(
    ("target", "body", "code", "status"),
    [
        ("SageMaker.Explode", "{}", "UnknownOperationException", 404),
        ("SageMaker.ListModels", "{}", "UnknownOperationException", 404),
        ("SageMaker.ListTrainingJobs", "{", "SerializationException", 400),
        ("SageMaker.ListTrainingJobs", "[]", "SerializationException", 400),
        ("SageMaker.ListTrainingJobs", '{"Nonsense": 1}', "ValidationException", 400),
        ("SageMaker.ListTrainingJobs", '{"SortBy": "Name"}', "ValidationException", 400),
        ("SageMaker.StopTrainingJob", '{"TrainingJobName": "taken"}', "ResourceInUse", 400),
        ("SageMaker.StopTrainingJob", '{"TrainingJobName": "broken"}', "InternalFailure", 500),
        ("Emulator.Nothing", "{}", "UnknownOperationException", 404),
    ],
)
def test_refuses(target, body, code, status, caplog):
    def stop(call):
        if call["TrainingJobName"] == "taken":
            raise ApiError("ResourceInUse", "it is", Reason="more")
        raise ZeroDivisionError

    with caplog.at_level(logging.CRITICAL):
        told_status, told, answer = ask(api(ListTrainingJobs=dict, StopTrainingJob=stop), target, body)
    assert (told_status, told["__type"], answer.headers["x-amzn-ErrorType"]) == (status, code, code)
    assert told["message"]
    assert "ZeroDivision" not in told["message"]
    assert told.get("Reason", "more") == "more"


def test_a_parameter_that_does_nothing_is_told_in_the_log(caplog):
    made = api(ListTrainingJobs=lambda call: {})
    assert ask(made, "SageMaker.ListTrainingJobs", '{"WarmPoolStatusEquals": "InUse"}')[0] == 200
    assert "ListTrainingJobs: WarmPoolStatusEquals does nothing here: there are no warm pools" in caplog.text


def test_the_emulators_own_operations_have_a_prefix_of_their_own():
    assert ask(api(), "Emulator.Nudge", '{"Name": "a"}')[:2] == (200, {"nudged": "a"})
    assert ask(api(), "SageMaker.Nudge", '{"Name": "a"}')[0] == 404


def test_within_finds_what_a_path_names():
    request = {"A": {"B": [{"C": 1}, {"D": 2}, {"C": None}, {"C": 3}]}, "E": False}
    assert list(within(request, "A.B.C")) == [1, 3]
    assert list(within(request, "E")) == [False]
    assert list(within(request, "A.X.C")) == []


def test_errors_are_worded_as_awss():
    assert invalid("no").code == "ValidationException"
    assert missing("model", "arn:x").message == 'Could not find model "arn:x".'
    assert exists("model", "arn:x").code == "ResourceInUse"
