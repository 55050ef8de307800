"""Prices: AWS's own list, or none."""

import json

import pytest

from byoc_cli.sagemaker import prices

VARIANT = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 2}
BY_THE_HOUR = "costs 2 x ml.m5.large: by the hour, used or not, until it is deleted"


def product(usd: str, unit: str = "Hrs") -> str:
    dimension = {"unit": unit, "pricePerUnit": {"USD": usd}}
    return json.dumps({"terms": {"OnDemand": {"A.B": {"priceDimensions": {"A.B.C": dimension}}}}})


@pytest.fixture
def listed(cloud, stubbed, monkeypatch):
    """Returns a function that lets the price list answer with products."""
    stubber = stubbed("pricing")
    monkeypatch.setattr(cloud.session, "client", lambda *_, **__: cloud.client("pricing"))

    def answer(*products):
        wanted = {"instanceName": "ml.m5.large", "regionCode": "eu-west-1", "platoinstancetype": "Hosting"}
        filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
        stubber.add_response(
            "get_products", {"PriceList": list(products)}, {"ServiceCode": "AmazonSageMaker", "Filters": filters}
        )

    return answer


def test_the_lists_price(cloud, listed):
    listed(product("0.1280000000"))
    assert prices.running_cost(cloud, [VARIANT]) == (
        "costs 2 x ml.m5.large: 0.128 $ an hour each, used or not, until it is deleted (about 187 $ a month)"
    )


@pytest.mark.parametrize("products", [(), (product("0.1"), product("0.2")), ("{}",), (product("0.1", "Requests"),)])
def test_no_price_is_made_up(cloud, listed, products):
    listed(*products)
    assert prices.running_cost(cloud, [VARIANT]) == BY_THE_HOUR


def test_not_to_be_allowed_to_look_is_no_failure(cloud, stubbed, monkeypatch):
    stubbed("pricing").add_client_error("get_products", "AccessDeniedException", "no", 400)
    monkeypatch.setattr(cloud.session, "client", lambda *_, **__: cloud.client("pricing"))
    assert prices.running_cost(cloud, [VARIANT]) == BY_THE_HOUR


def test_serverless_and_the_emulator_ask_no_list(cloud, stubbed, monkeypatch):
    stubbed("pricing")
    assert "nothing while idle" in prices.running_cost(cloud, [{"ServerlessConfig": {}}])
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", "http://127.0.0.1:4570")
    assert prices.running_cost(cloud, [VARIANT]) == "costs nothing: it runs on this machine"
