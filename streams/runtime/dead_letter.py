"""What cannot be processed keeps its bytes, and says in headers where it came from and why (after KIP-1034).

Any record has a dead letter that the producer and the broker take: whole where it fits, else without the key or the
headers that are too large, else as a pointer to where its bytes are.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from schemas.envelope.dead_letter import BOUNDED, NULL_VALUE, POINTER, PREFIX, READER, attempt_of
from schemas.envelope.pointer import Pointer
from schemas.envelope.raw import Headers, RawRecord
from streams.runtime.records import InputProblem, Outgoing
from streams.topics import DEAD_LETTERS, MAX_DEAD_LETTER_BYTES

#: What of a key and of headers is copied. Ours have a few hundred bytes; whatever has more was not written for us, and
#: a dead letter is for people to look at.
MAX_KEY_BYTES, MAX_HEADERS_BYTES, MAX_HEADERS = 4_096, 65_536, 256
#: Bytes of a value that a dead letter holds: what the topic takes, less all that is around it.
MAX_VALUE_BYTES = MAX_DEAD_LETTER_BYTES - MAX_KEY_BYTES - MAX_HEADERS_BYTES - 16_384
#: Of our own texts.
MAX_TEXT_BYTES = 2_000


def needs_pointer(raw: RawRecord) -> bool:
    """Whether a dead letter cannot hold the record's value."""
    return not raw.held or len(raw.value or b"") > MAX_VALUE_BYTES


def dead_letter(
    raw: RawRecord, stage: str, problem: InputProblem, topic: str = DEAD_LETTERS, *, stored: str | None = None
) -> Outgoing:
    """The record for the dead-letter topic: key, value and headers untouched where they fit, ours added.

    `stored` is where the bytes of a value are that does not fit.
    """
    added = {
        "stage": stage,
        "reason": problem.reason,
        "message": problem.detail,
        "topic": raw.topic,
        "partition": str(raw.partition),
        "offset": str(raw.offset),
        "timestamp": str(int(time.time() * 1000)),
        "attempt": str(attempt_of(raw)),
        **({READER: raw.reader} if raw.reader else {}),
    }
    left_out = []
    key, value = raw.key, raw.value
    if key is not None and len(key) > MAX_KEY_BYTES:
        key = None
        left_out.append("key")
    kept = tuple((name, content) for name, content in raw.headers if not name.startswith(PREFIX))
    if len(kept) > MAX_HEADERS or _size(kept) > MAX_HEADERS_BYTES:
        kept = ()
        left_out.append("headers")
    marks: list[tuple[str, bytes]] = []
    if needs_pointer(raw):
        value = Pointer.to(raw, stored).to_bytes()
        marks.append((POINTER, b"1"))
    elif value is None:
        # A record of neither key nor value is none that a producer sends.
        value = b"" if key is None else None
        marks.append((NULL_VALUE, b"1"))
    if left_out:
        marks.append((BOUNDED, ",".join(left_out).encode()))
    texts = tuple((PREFIX + name, _bytes(text)[:MAX_TEXT_BYTES]) for name, text in added.items())
    return Outgoing(topic, key, value, headers=(*((_sound(name), content) for name, content in kept), *marks, *texts))


def _size(headers: Headers) -> int:
    return sum(len(_bytes(name)) + len(content or b"") for name, content in headers)


def _bytes(text: str) -> bytes:
    return text.encode(errors="replace")


def _sound(name: str) -> str:
    # A name that is no UTF-8 comes to us with what replaces it; one with lone surrogates could not be sent.
    return _bytes(name).decode()


def is_pointer(headers: Sequence[tuple[str, bytes | None]]) -> bool:
    """Whether a dead letter with these headers is a pointer."""
    return any(name == POINTER for name, _ in headers)
