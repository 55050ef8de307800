"""The doctor on images that hold many models, stream and talk by WebSocket: a good one and bad ones."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.docker

MULTI_MODEL = "LABEL com.amazonaws.sagemaker.capabilities.multi-models=true"
TALKS = "ENV TALKS=true\nLABEL com.amazonaws.sagemaker.capabilities.bidirectional-streaming=true"
IMAGE = {"folders": "program/ models/", "ending": f"{MULTI_MODEL}\n{TALKS}"}

# Several faults in an image, as far as none hides another.
FAULTS = [
    {
        "some workers are late": (87, r"request 49 to the model just loaded is answered 404"),
        "twice is fine": (88, r"the same model again is answered 200"),
        "pages lose a model": (89, r"two at a time it lists m0, m1, m3, m4"),
        "anything goes": (92, r"a broken model is answered 200"),
        "anything by any name": (93, r"url /srv/model is answered 200"),
    },
    {
        "never full": (90, r"model \d within \d+ MB: POST /models got no answer: .*; the container ended"),
        "keeps what it unloads": (91, r"\d+ cycles took \d+ MB that did not come back"),
        "ping waits": (94, r"/ping took \d+\.\d s while models were loaded"),
    },
    {
        "cuts streams": (96, r"the stream was cut after \d+\.\d s"),
        "goes on without a client": (97, r"2 s after the client hung up it still computes \(\d+% of a CPU\)"),
        "takes fragments for messages": (98, r"whole, a text was answered by .* in fragments by"),
    },
]


def test_a_good_image_passes(bad_image, examine):
    examined = examine(bad_image(**IMAGE), "--only", "multimodel,streaming")
    assert [result for result in examined.results.values() if result["status"] != "passed"] == []
    assert sorted(examined.results) == list(range(86, 99))


@pytest.mark.parametrize("faults", FAULTS, ids=lambda faults: " ".join(str(number) for number, _ in faults.values()))
def test_a_bad_image_fails_the_right_checks_for_the_right_reasons(catches, faults):
    catches(faults, **IMAGE)


def test_an_image_without_labels_that_offers_all_the_same(catches):
    faults = {
        "no label": (
            86,
            r"/models works, but the label com\.amazonaws\.sagemaker\.capabilities\.multi-models is missing",
        ),
        "collects": (95, r"the first of \d+ bytes came after \d+\.\d s"),
        "unclear ends": (97, r"after a bad record the stream ends with 'data: error'"),
        "talks without a label": (98, r"the upgrade works, but the image has no label"),
    }
    catches(faults, folders=IMAGE["folders"], ending="LABEL com.amazonaws.sagemaker.capabilities.multi-models=")


def test_what_an_image_does_not_offer(bad_image, examine):
    examined = examine(bad_image(), "--only", "multimodel,streaming")
    statuses = {number: result["status"] for number, result in examined.results.items()}
    assert statuses == {**dict.fromkeys(range(86, 98), "not offered"), 98: "passed"}, examined.output
    assert examined.results[98]["seen"] == "no label, and the upgrade is refused with 404"
