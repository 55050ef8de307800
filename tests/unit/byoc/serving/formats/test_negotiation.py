"""Which format a request is in, and which its answer is in (CONTRACT checks 54, 66 and 67)."""

import pytest

from byoc.serving import formats
from byoc.serving.errors import RequestError
from byoc.serving.formats import csv, json, jsonlines, libsvm, npy, npz, octet_stream, recordio

# Accept · the request's own type, or the setting's · the answer's
ACCEPTS = [
    ("", "text/csv", csv),
    ("", "application/json", json),
    ("", "application/x-ndjson", jsonlines),
    ("", "image/png", csv),
    ("", "application/x-recordio-protobuf", recordio),
    ("", "application/x-npy", csv),
    ("*/*", "text/x-libsvm", csv),
    ("", "application/octet-stream", json),
    ("application/x-recordio-protobuf", "text/csv", recordio),
    ("*/*", "application/jsonlines", jsonlines),
    ("*/*", "text/csv", csv),
    (" ", "application/json", json),
    ("text/csv", "application/json", csv),
    ("application/json", "text/csv", json),
    ("Application/JSON", "text/csv", json),
    ("application/json; charset=utf-8", "text/csv", json),
    ("application/json;verbose=true", "text/csv", json),
    ("text/csv; header=absent", "application/json", csv),
    ("application/jsonlines", "text/csv", jsonlines),
    ("application/jsonl", "text/csv", jsonlines),
    ("application/csv", "application/json", csv),
    ("application/json;q=0.5, text/csv", "application/json", csv),
    ("application/json;q=0.5, text/csv;q=0.4", "text/csv", json),
    ("text/html, application/xhtml+xml, */*;q=0.1", "application/json", json),
    ("image/png, application/jsonlines;q=0.1", "text/csv", jsonlines),
    ("text/*", "application/json", csv),
    ("application/*", "text/csv", json),
    ("application/*", "application/jsonlines", jsonlines),
    ("application/json;q=0, */*", "application/json", csv),
    ("text/csv, application/json", "application/json", json),
]


@pytest.mark.parametrize(("accept", "default", "chosen"), ACCEPTS)
def test_accept(accept, default, chosen):
    assert formats.encoder(accept, default) is chosen


@pytest.mark.parametrize(
    "accept",
    [
        "image/png",
        "text/html, image/*",
        "text/csv;q=0",
        "*/*;q=0",
        "csv",
        "*/json",
        ",",
        ";",
        "text/csv\r\nX: 1",
        "application/x-npy",
        "text/libsvm",
    ],
)
def test_what_nobody_offers_is_406_with_the_offers(accept):
    with pytest.raises(RequestError, match="text/csv, application/json, application/jsonlines") as refused:
        formats.encoder(accept, "text/csv")
    assert refused.value.status == 406


CONTENT_TYPES = [
    ("", csv, {}),
    ("text/csv", csv, {}),
    ("TEXT/CSV; charset=utf-8", csv, {"charset": "utf-8"}),
    ('text/csv;charset="UTF-8"; header=present', csv, {"charset": "UTF-8", "header": "present"}),
    ("text/csv;label_size=0", csv, {"label_size": "0"}),
    ("text/csv; charset=us-ascii", csv, {"charset": "us-ascii"}),
    ("application/csv", csv, {}),
    ("application/json", json, {}),
    ("application/json; charset=utf_8", json, {"charset": "utf_8"}),
    ("application/jsonlines", jsonlines, {}),
    ("application/x-ndjson", jsonlines, {}),
    ("text/libsvm", libsvm, {}),
    ("text/x-libsvm; base=1", libsvm, {"base": "1"}),
    ("application/x-npy", npy, {}),
    ("Application/X-NPZ", npz, {}),
    ("application/x-recordio-protobuf", recordio, {}),
    ("application/octet-stream", octet_stream, {}),
]


@pytest.mark.parametrize(("content_type", "chosen", "parameters"), CONTENT_TYPES)
def test_content_type(content_type, chosen, parameters):
    """CONTRACT check 10."""
    assert formats.decoder(content_type) == formats.Decoder(chosen, parameters)


@pytest.mark.parametrize(
    ("content_type", "code"),
    [
        ("text/plain", "unsupported_media_type"),
        ("json", "unsupported_media_type"),
        (";", "unsupported_media_type"),
        ("application/json, text/csv", "unsupported_media_type"),
        ("text/csv; charset=latin-1", "unsupported_charset"),
        ("application/json; charset=utf-16", "unsupported_charset"),
    ],
)
def test_what_is_not_understood_is_415(content_type, code):
    with pytest.raises(RequestError) as refused:
        formats.decoder(content_type)
    assert (refused.value.status, refused.value.code) == (415, code)


def test_every_format_writes_what_its_name_says():
    for name, module in [*formats.REQUESTS.items(), *formats.ANSWERS.items()]:
        assert name == module.MEDIA_TYPE
    for module in formats.ANSWERS.values():
        assert module.encode([], ()).decode().strip() in ("", '{"predictions":[]}')
    assert set(formats.ALIASES.values()) <= formats.REQUESTS.keys()
