"""Headers of a record as librdkafka's client gives them, also where it cannot."""

from __future__ import annotations

from confluent_kafka import Message

from schemas.envelope.raw import Headers


def headers_of(message: Message) -> Headers:
    """The headers in order, none where one of their names is no UTF-8: the client raises SystemError for all then."""
    try:
        return tuple(message.headers() or ())
    except (SystemError, UnicodeDecodeError):
        return ()
