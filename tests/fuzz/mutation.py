"""Changes to sound inputs: bytes, texts, plain values. Everything is drawn from the `Random` that is given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

#: Names that must not be found in what is said of an input: a person's, as it may stand anywhere.
NAME = "María Pérez 12.345.678-9"
TEXTS = (
    "", " ", NAME, "\x00", "\x1b]52;c;aGk=\x07", "\x1b[2J", "\u202egpj.exe", "\ud800", "é" * 300, "a" * 70_000, "[/x]",
    "../../etc/passwd", "file:///etc/passwd", "-1", "0", "²", "٣", "9" * 5_000, "1e400", "NaN", "null", "vigia-default",
    "2026-03-01T12:30:00Z", "11111111-1111-5111-8111-111111111111", "urn:uuid:11111111-1111-5111-8111-111111111111",
    "b" * 64, "vpt1-00000000-" + "a" * 64, "emergency", "stage_3", "unknown", "human_review", "%s{0}$(x)`x`", "a\nb",
)  # fmt: skip
NUMBERS: tuple[Any, ...] = (
    0, 1, -1, 2, 31, 120, 121, 2**31 - 1, 2**31, -(2**31), 2**63 - 1, -(2**63), 2**64, 10**30, 10**400,
    0.5, 1.0, -0.0, 1e-320, 1e308, float("nan"), float("inf"), float("-inf"), 1_764_000_000_000_000,
)  # fmt: skip


def mutated(rng: Random, data: bytes, others: Sequence[bytes], reach: int = 700) -> bytearray:
    """The bytes with one to eight changes: bytes, lengths, parts left out, doubled, moved, or of another.

    Half of the changes are within the first `reach` bytes: headers decide more than what follows.
    """
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        within = len(changed) if rng.random() < 0.5 else min(len(changed), reach)
        at = rng.randrange(max(1, within))
        size = rng.choice((1, 2, 4, 12, 64, 300))
        match rng.randrange(7):
            case 0:
                changed[at : at + 1] = bytes((rng.randrange(256),))
            case 1:
                changed[at : at + 4] = rng.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1"))
            case 2:
                del changed[at : at + size]
            case 3:
                changed[at:at] = changed[at : at + size] * rng.randint(1, 4)
            case 4:
                changed[at : at + size] = rng.choice(others)[at : at + size]
            case 5:
                changed[at : at + size] = rng.randbytes(size)
            case 6:
                del changed[max(20, at) :]
    return changed


#: Few, so that they meet: ids of cases, events and escalations that belong to others.
UUIDS = tuple(f"{digit * 8}-1111-5111-8111-111111111111" for digit in "1234")


def changed(rng: Random, value: Any, rate: float = 0.15) -> Any:
    """A plain value with some of its leaves, keys and items changed."""
    if isinstance(value, dict):
        items = [(key, changed(rng, item, rate)) for key, item in value.items() if rng.random() > rate / 4]
        if rng.random() < rate / 2:
            items.append((rng.choice(TEXTS), anything(rng)))
        return dict(items) if rng.random() > rate / 8 else anything(rng)
    if isinstance(value, list):
        items = [changed(rng, item, rate) for item in value]
        if items and rng.random() < rate:
            items = items * rng.choice((0, 2, 50))
        return items
    if rng.random() > rate:
        return value
    if isinstance(value, bool):
        return rng.choice((not value, None, 1, "true"))
    if isinstance(value, int | float):
        return rng.choice(NUMBERS)
    if isinstance(value, str) and len(value) == 36 and rng.random() < 0.8:
        return rng.choice(UUIDS)
    return rng.choice(TEXTS) if rng.random() < 0.8 else anything(rng)


def anything(rng: Random, depth: int = 0) -> Any:
    """Any JSON value, NaN and infinities included."""
    match rng.randrange(8 if depth < 3 else 5):
        case 0:
            return None
        case 1:
            return rng.random() < 0.5
        case 2:
            return rng.choice(NUMBERS)
        case 3 | 4:
            return rng.choice(TEXTS)
        case 5 | 6:
            return [anything(rng, depth + 1) for _ in range(rng.randrange(4))]
        case _:
            return {rng.choice(TEXTS): anything(rng, depth + 1) for _ in range(rng.randrange(4))}


def as_json(rng: Random, value: Any) -> bytes:
    """The value as JSON, now and then broken, repeated, nested far too deeply, or in another encoding."""
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.002:
        depth = rng.choice((50, 900, 1_100, 100_000))
        text = "[" * depth + (text + "]" * depth if rng.random() < 0.5 else "")
    data = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.3:
        data = bytes(mutated(rng, data, (data[::-1], b'{"a":1}\n{"stage":null}'), 200))
    if rng.random() < 0.01:
        data = data.decode("utf-8", "replace").encode(rng.choice(("utf-16", "latin-1", "utf-8-sig")), "replace")
    return data
