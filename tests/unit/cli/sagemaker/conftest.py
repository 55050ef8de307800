"""An account that is nobody's: credentials that open nothing, and moto's AWS where one is needed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from botocore.stub import Stubber
from moto import mock_aws

from byoc_cli.sagemaker.cloud import Cloud

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REGION = "eu-west-1"


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials, no settings, no role."""
    for name in [each for each in os.environ if each.startswith(("AWS_", "SAGEMAKER_", "BYOC_", "ECR_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


@pytest.fixture
def cloud(credentials: None) -> Cloud:
    return Cloud(REGION)


@pytest.fixture
def aws(cloud: Cloud) -> Iterator[Cloud]:
    """moto's AWS."""
    with mock_aws():
        yield cloud


@pytest.fixture
def stubbed(cloud: Cloud) -> Iterator[Callable[[str], Stubber]]:
    """Returns a function that gives the stubber of a service's client; its answers are all used in the end."""
    stubbers: dict[str, Stubber] = {}

    def of(service: str) -> Stubber:
        if service not in stubbers:
            stubbers[service] = Stubber(cloud.client(service))
            stubbers[service].activate()
        return stubbers[service]

    yield of
    for stubber in stubbers.values():
        stubber.assert_no_pending_responses()
