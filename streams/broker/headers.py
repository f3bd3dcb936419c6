"""Headers of a record as librdkafka's client gives them, also where it cannot."""

from __future__ import annotations

import gc

from confluent_kafka import Message

from schemas.envelope.raw import Headers


def headers_of(message: Message) -> Headers:
    """The headers in order, none where one of their names is no UTF-8.

    The client cannot make a text of such a name. It raises SystemError, or hands out a pair in which the name is a null
    pointer, and whoever looks at that crashes.
    """
    try:
        found = message.headers() or []
        # The collector passes over null pointers, so counting what it finds touches none. An error that the client left
        # behind is raised by this call, if it was not before.
        whole = len(gc.get_referents(found)) == len(found)
        if whole and all(len(gc.get_referents(pair)) == 2 for pair in found):
            return tuple(found)
    except (SystemError, UnicodeDecodeError):
        pass
    return ()
