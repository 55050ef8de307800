"""Which variant and which instance answers a request, and when none does."""

from __future__ import annotations

from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from byoc_cli.emulator.errors import ApiError
from byoc_cli.emulator.hosting.deployments import Deployment, Live
from byoc_cli.emulator.hosting.limits import Limits
from byoc_cli.emulator.hosting.updates import retained
from byoc_cli.emulator.hosting.variants import Variant, choose


class Instance:
    """Counts what it is asked, as a real one does."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.runs = True
        self.is_fit = True

    def enter(self) -> None:
        self.in_flight += 1

    def leave(self) -> None:
        self.in_flight -= 1


def variant(name: str = "one", instances: int = 1, weight: float = 1.0, **settings: Any) -> Variant:
    given = {"VariantName": name, "InitialVariantWeight": weight, "InitialInstanceCount": instances, **settings}
    made = Variant(SimpleNamespace(), "endpoint", given, SimpleNamespace(), None)
    made.instances = [Instance() for _ in range(instances)]
    return made


def test_weights_share_the_traffic() -> None:
    variants = [variant("rare", weight=1), variant("often", weight=3), variant("never", weight=0)]
    names = [choose(variants).name for _ in range(4000)]
    assert 0.2 < names.count("rare") / 4000 < 0.3
    assert "never" not in names
    assert choose(variants, "never").name == "never"


def test_a_variant_that_is_not_there() -> None:
    with pytest.raises(ApiError, match="Variant two not found for Endpoint; there are: one"):
        choose([variant()], "two")
    with pytest.raises(ApiError, match="no variant of the endpoint has a weight"):
        choose([variant(weight=0)])


def test_the_least_busy_instance_answers_where_that_is_asked_for() -> None:
    routed = variant(instances=3, RoutingConfig={"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"})
    with ExitStack() as stack:
        lent = [stack.enter_context(routed.lent()) for _ in range(3)]
        assert len({id(each) for each in lent}) == 3
    assert [each.in_flight for each in routed.instances] == [0, 0, 0]


def test_an_instance_that_has_ended_is_not_asked() -> None:
    routed = variant(instances=2)
    routed.instances[0].runs = routed.instances[0].is_fit = False
    for _ in range(20):
        with routed.lent() as instance:
            assert instance is routed.instances[1]
    routed.instances[1].runs = routed.instances[1].is_fit = False
    with pytest.raises(ApiError, match="no instance of variant one is running") as caught, routed.lent():
        pass
    assert (caught.value.code, caught.value.status) == ("ServiceUnavailable", 503)


def test_an_instance_that_is_not_healthy_is_asked_only_where_no_other_is() -> None:
    routed = variant(instances=2)
    routed.instances[0].is_fit = False
    for _ in range(20):
        with routed.lent() as instance:
            assert instance is routed.instances[1]
    routed.instances[1].runs = routed.instances[1].is_fit = False
    with routed.lent() as instance:
        assert instance is routed.instances[0]


def test_a_serverless_variant_answers_so_many_at_a_time() -> None:
    limited = variant(ServerlessConfig={"MemorySizeInMB": 1024, "MaxConcurrency": 2})
    with limited.lent(), limited.lent(), pytest.raises(ApiError) as caught, limited.lent():
        pass
    assert (caught.value.code, caught.value.status) == ("ThrottlingException", 400)
    with limited.lent():
        pass


def test_a_session_stays_with_its_instance() -> None:
    live, both = Live(), variant(instances=2)
    live.change(Deployment({}, [both]))
    live.open_session("mine", both, both.instances[1])
    for _ in range(20):
        with live.lent(session="mine") as (_, instance):
            assert instance is both.instances[1]
    live.close_session("mine")
    assert {id(instance) for _ in range(40) for instance in [asked(live)]} == {id(each) for each in both.instances}


def asked(live: Live) -> Any:
    with live.lent(session="mine") as (_, instance):
        return instance


def test_a_request_keeps_the_deployment_that_it_began_with() -> None:
    live, old = Live(), Deployment({}, [variant("old")])
    live.change(old)
    with live.lent() as (chosen, _):
        assert live.change(Deployment({}, [variant("new")])) is old
        assert (chosen.name, old.users) == ("old", 1)
        with live.lent() as (next_one, _):
            assert next_one.name == "new"
    assert old.users == 0


def test_nothing_serves_yet() -> None:
    with pytest.raises(ApiError, match="no instance of the endpoint is running"), Live().lent():
        pass


@pytest.mark.parametrize(
    ("excluded", "weight", "count"), [((), 5.0, 3), (("DesiredWeight",), 1.0, 3), (("DesiredInstanceCount",), 5.0, 1)]
)
def test_an_update_may_keep_weights_and_counts(excluded: tuple[str, ...], weight: float, count: int) -> None:
    config = {
        "ProductionVariants": [
            {"VariantName": "one", "InitialVariantWeight": 1.0, "InitialInstanceCount": 1},
            {"VariantName": "new", "InitialVariantWeight": 2.0, "InitialInstanceCount": 2},
        ]
    }
    one, new = retained(config, Deployment({}, [variant(weight=5.0, instances=3)]), excluded)["ProductionVariants"]
    assert (one["InitialVariantWeight"], one["InitialInstanceCount"]) == (weight, count)
    assert (new["InitialVariantWeight"], new["InitialInstanceCount"]) == (2.0, 2)


def test_limits_can_be_set() -> None:
    assert Limits.from_environ({}) == Limits(25 << 20, None)
    assert Limits.from_environ({"BYOC_EMULATOR_PAYLOAD_MB": "6", "BYOC_EMULATOR_MEMORY_MB": "512"}) == Limits(
        6 << 20, 512
    )
    with pytest.raises(Exception, match="BYOC_EMULATOR_MEMORY_MB=much must be a whole number of MB"):
        Limits.from_environ({"BYOC_EMULATOR_MEMORY_MB": "much"})
