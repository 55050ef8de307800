"""Media types: one module each, chosen by Content-Type on the way in and by Accept on the way out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header, parse_options_header

from byoc.serving.errors import RequestError
from byoc.serving.formats import csv, event_stream, json, jsonlines, libsvm, npy, npz, octet_stream, parquet, recordio

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from byoc.schema import Schema
    from byoc.serving.formats.records import Records


class RequestFormat(Protocol):
    """What a module of this package offers for requests."""

    MEDIA_TYPE: str

    def decode(self, body: bytes, parameters: Mapping[str, str], schema: Schema | None) -> Records:
        """Return the records of a body.

        Raises:
            RowError, RequestError: the body is not what the media type or the schema says.

        """


@runtime_checkable
class DivisibleFormat(RequestFormat, Protocol):
    """What a module offers whose bodies may be of any size, because they can be cut."""

    def pieces(
        self, blocks: Iterable[bytes], size: int, parameters: Mapping[str, str], schema: Schema | None
    ) -> Iterator[tuple[bytes, Mapping[str, str]]]:
        """Yield bodies of about a size, with their parameters, that hold the records of a body that comes in blocks.

        Raises:
            RequestError: it cannot be cut.

        """


class AnswerFormat(Protocol):
    """What a module offers for answers."""

    MEDIA_TYPE: str

    def encode(self, predictions: Any, outputs: Sequence[str]) -> bytes:
        """Return the body that tells the predictions, ending with a newline."""


ANSWERS: dict[str, AnswerFormat] = {
    # In the order of preference where an Accept header leaves the choice.
    module.MEDIA_TYPE: module
    for module in (csv, json, jsonlines, recordio, event_stream)
}
REQUESTS: dict[str, RequestFormat] = {
    module.MEDIA_TYPE: module for module in (csv, json, jsonlines, recordio, libsvm, npy, npz, octet_stream, parquet)
}
# What a request's own type means for its answer, where there are no answers of that type and it is not the first.
ANSWERED_BY = {octet_stream.MEDIA_TYPE: json.MEDIA_TYPE}
ALIASES = {
    "application/csv": csv.MEDIA_TYPE,
    "text/x-csv": csv.MEDIA_TYPE,
    "application/x-jsonlines": jsonlines.MEDIA_TYPE,
    "application/jsonl": jsonlines.MEDIA_TYPE,
    "application/x-ndjson": jsonlines.MEDIA_TYPE,
    "application/ndjson": jsonlines.MEDIA_TYPE,
    "text/x-libsvm": libsvm.MEDIA_TYPE,
}


@lru_cache(maxsize=256)
def media_type(content_type: str) -> tuple[str, Mapping[str, str]]:
    """Split ``Text/CSV; header=present`` into its lower-case media type, aliases resolved, and its parameters.

    Raises:
        RequestError: 415, the text names a character set other than UTF-8.

    """
    name, parameters = parse_options_header(content_type)
    name = name.lower()
    charset = parameters.get("charset", "utf-8").lower().replace("_", "-")
    if charset not in ("utf-8", "utf8", "us-ascii", "ascii"):
        raise RequestError(415, "unsupported_charset", f"the body must be in UTF-8, not {charset}")
    return ALIASES.get(name, name), parameters


@dataclass(frozen=True)
class Decoder:
    """A request's format, and the parameters of its media type."""

    source: RequestFormat
    parameters: Mapping[str, str]

    def decode(self, body: bytes, schema: Schema | None) -> Records:
        """Return the records of a body.

        Raises:
            RowError, RequestError: as `RequestFormat.decode`.

        """
        return self.source.decode(body, self.parameters, schema)

    @property
    def divides(self) -> bool:
        """Whether bodies may be of any size, because they can be cut."""
        return isinstance(self.source, DivisibleFormat)

    def pieces(self, blocks: Iterable[bytes], size: int, schema: Schema | None) -> Iterator[tuple[bytes, Decoder]]:
        """Yield bodies of about a size, each with its decoder, that hold the records of a body that comes in blocks.

        Raises:
            RequestError: it cannot be cut.

        """
        assert isinstance(self.source, DivisibleFormat)
        for body, parameters in self.source.pieces(blocks, size, self.parameters, schema):
            yield body, Decoder(self.source, parameters)


@lru_cache(maxsize=256)
def decoder(content_type: str) -> Decoder:
    """Return the format of a request's body; without a Content-Type it is taken as CSV, as SageMaker does.

    Raises:
        RequestError: 415, with the types that are understood.

    """
    name, parameters = media_type(content_type or csv.MEDIA_TYPE)
    if name not in REQUESTS:
        raise _not_understood(name, REQUESTS)
    return Decoder(REQUESTS[name], parameters)


def check_type(content_type: str, understood: Sequence[str]) -> None:
    """Refuse a request whose body a handler cannot decode; one without a Content-Type is left to it.

    Raises:
        RequestError: 415, with the types that are understood.

    """
    name = media_type(content_type)[0]
    if name and name not in understood:
        raise RequestError(
            415, "unsupported_media_type", f"Content-Type {name} is not understood; send {', '.join(understood)}"
        )


def _not_understood(name: str, understood: Iterable[str]) -> RequestError:
    message = f"Content-Type {name} is not understood; send {', '.join(understood)}"
    return RequestError(415, "unsupported_media_type", message)


def check_accepted(accept: str, offered: str) -> None:
    """Refuse an answer of a media type that the client does not accept; "" and ``*/*`` accept any.

    Raises:
        RequestError: 406, with the type on offer.

    """
    if accept.strip() and not parse_accept_header(accept, MIMEAccept).best_match([offered]):
        raise RequestError(406, "not_acceptable", f"Accept offers no {offered}, which is what the answer is")


@lru_cache(maxsize=256)
def encoder(accept: str, default: str) -> AnswerFormat:
    """Return the format of the answer that an Accept header asks for, weighed by its q-values.

    Args:
        accept: the header; "" or ``*/*`` leaves the choice to us.
        default: the media type to choose then.

    Raises:
        RequestError: 406, with the types on offer.

    """
    default = media_type(default)[0]
    default = ANSWERED_BY.get(default, default)
    offers = sorted(ANSWERS, key=lambda name: name != default)
    if not accept.strip():
        return ANSWERS[offers[0]]
    # Parameters, such as a character set, choose nothing here.
    asked = parse_accept_header(accept, MIMEAccept)
    names = [name.partition(";")[0].strip().lower() for name in asked.values()]
    weighed = [(ALIASES.get(name, name), quality) for name, (_, quality) in zip(names, asked, strict=True)]
    chosen = MIMEAccept(weighed).best_match(offers)
    if chosen is None:
        raise RequestError(406, "not_acceptable", f"Accept offers none of {', '.join(ANSWERS)}")
    return ANSWERS[chosen]


def joined(output: AnswerFormat, bodies: Iterable[bytes]) -> Iterator[bytes]:
    """Put the answers to the pieces of a request together into the answer to all of it, piece by piece."""
    if output.MEDIA_TYPE != json.MEDIA_TYPE:
        yield from bodies
        return
    separator = b""
    for body in bodies:
        opening = json.opening(body)
        yield separator or opening
        yield body[len(opening) : -len(json.CLOSING)]
        separator = b","
    yield json.CLOSING
