"""Records that nobody would send: each must become a dead letter, and hold up nothing behind it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from ops.chaos.values import Sent

#: Bytes of the largest record, of one letter: lz4 makes some twelve thousand of it, and the broker's limit is on those.
LARGE = 3_000_000
_ATTEMPT = "vigia.attempt"


@dataclass(frozen=True, slots=True)
class _Hostile:
    """What a record differs in from a sound one that holds junk."""

    value: Callable[[bytes], bytes | None] = lambda junk: junk
    keyed: bool = True
    headers: tuple[tuple[str, bytes | None], ...] = ()


KINDS: Mapping[str, _Hostile] = {
    "neither key nor value": _Hostile(value=lambda _: None, keyed=False),
    "a key and no value": _Hostile(value=lambda _: None),
    "an attempt that is null": _Hostile(headers=((_ATTEMPT, None),)),
    "an attempt of 5,000 digits": _Hostile(headers=((_ATTEMPT, b"9" * 5_000),)),
    "3 MB that compress to 13 kB": _Hostile(value=lambda junk: junk + b"a" * LARGE),
    "a thousand headers": _Hostile(headers=tuple((f"h{number}", b"x" * 50) for number in range(1_000))),
    "a header without a name": _Hostile(headers=(("", b"\xff\xfe"),)),
    "a schema id beyond every registry": _Hostile(value=lambda junk: b"\0\xff\xff\xff\xff" + junk),
}
#: Reasons of which the dead letter names one.
REFUSED = frozenset({"undecodable", "registry_unavailable"})


def hostile(draw: float, topic: str) -> tuple[str, Sent]:
    """What is wrong with it, and the record; `draw` (0–1) chooses both."""
    rng = random.Random(draw)  # noqa: S311 - repeatable on purpose
    name = list(KINDS)[min(len(KINDS) - 1, int(draw * len(KINDS)))]
    kind = KINDS[name]
    key = str(UUID(int=rng.getrandbits(128), version=4)).encode() if kind.keyed else None
    junk = rng.randbytes(12)
    return name, Sent(topic=topic, key=key, value=kind.value(junk), refused=REFUSED, headers=kind.headers)
