"""What instances cost, where AWS's price list answers; no price is ever made up."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from byoc_cli.sagemaker.cloud import Cloud

# The price list of all regions is asked in a few only.
LIST_REGION = "us-east-1"
QUICK = Config(connect_timeout=2, read_timeout=4, retries={"max_attempts": 0})
HOURS_A_MONTH = 730


def running_cost(cloud: Cloud, variants: Sequence[Mapping[str, Any]]) -> str:
    """Say what an endpoint costs while it is there.

    Args:
        cloud: where it is.
        variants: ProductionVariants of its config, or of its description.
    """
    if cloud.is_emulated:
        return "costs nothing: it runs on this machine"
    parts, total = [], 0.0
    for variant in variants:
        if "ServerlessConfig" in variant or "CurrentServerlessConfig" in variant:
            parts.append("serverless: by the millisecond that it computes and the memory it has, nothing while idle")
            continue
        count = int(variant.get("CurrentInstanceCount", variant.get("InitialInstanceCount", 1)))
        kind = str(variant.get("InstanceType", "instance"))
        price = hourly(cloud, kind)
        if price is None:
            parts.append(f"{count} x {kind}: by the hour, used or not, until it is deleted")
        else:
            total += count * price
            parts.append(f"{count} x {kind}: {price:.4g} $ an hour each, used or not, until it is deleted")
    month = f" (about {total * HOURS_A_MONTH:,.0f} $ a month)" if total else ""
    return f"costs {'; '.join(parts)}{month}"


def hourly(cloud: Cloud, instance_type: str) -> float | None:
    """Return the list price of an hour of hosting in USD; None where it cannot be had."""
    wanted = {"instanceName": instance_type, "regionCode": cloud.region, "platoinstancetype": "Hosting"}
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    try:
        client = cloud.session.client("pricing", region_name=LIST_REGION, config=QUICK)
        found = client.get_products(ServiceCode="AmazonSageMaker", Filters=filters)["PriceList"]
    except (BotoCoreError, ClientError):
        return None
    prices = set()
    for product in found:
        with suppress(ValueError, LookupError, TypeError, AttributeError):
            for term in json.loads(product)["terms"]["OnDemand"].values():
                for dimension in term["priceDimensions"].values():
                    if dimension["unit"].lower().startswith("h"):
                        prices.add(float(dimension["pricePerUnit"]["USD"]))
    # Several prices would mean that the list has become finer than what is asked here.
    return prices.pop() if len(prices) == 1 else None
