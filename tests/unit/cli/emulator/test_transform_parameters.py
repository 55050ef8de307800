from __future__ import annotations

import json

import pytest

from byoc_cli.emulator.errors import ApiError
from byoc_cli.emulator.transform import parameters
from byoc_cli.emulator.transform.errors import DataError
from byoc_cli.emulator.transform.parameters import Parameters

TOLD = {"MaxConcurrentTransforms": 4, "MaxPayloadInMB": 2, "BatchStrategy": "SINGLE_RECORD"}
ASKED = {"MaxConcurrentTransforms": 3, "MaxPayloadInMB": 5, "BatchStrategy": "MultiRecord"}


@pytest.mark.parametrize(
    ("request_", "told", "settled"),
    [
        ({}, {}, Parameters(1, 6, "MULTI_RECORD")),
        ({}, TOLD, Parameters(4, 2, "SINGLE_RECORD")),
        (ASKED, TOLD, Parameters(3, 5, "MULTI_RECORD")),
        ({"MaxPayloadInMB": 7}, TOLD, Parameters(4, 7, "SINGLE_RECORD")),
        ({"MaxPayloadInMB": 0}, TOLD, Parameters(4, 0, "SINGLE_RECORD")),
        ({"MaxConcurrentTransforms": 0}, TOLD, Parameters(4, 2, "SINGLE_RECORD")),
        ({"MaxConcurrentTransforms": 0}, {}, Parameters(1, 6, "MULTI_RECORD")),
    ],
)
def test_the_request_goes_before_the_container(request_, told, settled):
    assert parameters.settle(request_, told) == settled


def test_not_more_than_a_hundred_megabytes_are_on_their_way():
    with pytest.raises(DataError, match="must not exceed 100 MB"):
        parameters.settle({"MaxPayloadInMB": 26}, {"MaxConcurrentTransforms": 4})
    with pytest.raises(ApiError, match="must not exceed 100 MB"):
        parameters.check({"MaxPayloadInMB": 51, "MaxConcurrentTransforms": 2})
    with pytest.raises(ApiError, match="MaxPayloadInMB must not exceed 100"):
        parameters.check({"MaxPayloadInMB": 101})
    parameters.check({"MaxPayloadInMB": 100, "MaxConcurrentTransforms": 1})
    parameters.check({"MaxConcurrentTransforms": 200})


@pytest.mark.parametrize(
    ("status", "told", "read"),
    [(200, TOLD, TOLD), (200, {}, {}), (404, TOLD, {}), (200, {**TOLD, "Other": 1}, {**TOLD, "Other": 1})],
)
def test_a_container_tells_its_parameters(status, told, read):
    assert parameters.read(status, json.dumps(told).encode()) == read


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{“MaxPayloadInMB”: 6}", "no JSON"),
        ("[]", "JSON object"),
        ('{"MaxConcurrentTransforms": 0}', "MaxConcurrentTransforms must be a whole number from 1 on, not 0"),
        ('{"MaxPayloadInMB": "6"}', "MaxPayloadInMB must be a whole number from 0 on, not '6'"),
        ('{"MaxPayloadInMB": true}', "not True"),
        ('{"BatchStrategy": "MultiRecord"}', "BatchStrategy must be one of MULTI_RECORD, SINGLE_RECORD"),
    ],
)
def test_a_container_that_tells_nonsense_is_told(body, message):
    with pytest.raises(DataError, match=message):
        parameters.read(200, body.encode())


def test_the_environment_says_what_the_request_says():
    assert parameters.environment({}) == {"SAGEMAKER_BATCH": "true"}
    assert parameters.environment({**ASKED, "Environment": {"A": "1"}}) == {
        "A": "1",
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "5",
        "SAGEMAKER_BATCH_STRATEGY": "MULTI_RECORD",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "3",
    }
