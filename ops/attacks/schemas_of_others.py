"""Schemas that anybody may register, and records under them (section 7, A2)."""

from __future__ import annotations

import http.client
import struct
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from ops.attacks.attack import Attack, Attacks, Strike
from ops.attacks.field import HEADER, TOPIC, Field
from schemas.registry import subject_of
from streams import topics

ANYONES = "anyone-value"


def _field(kind: Any, default: Any) -> dict[str, Any]:
    # A name of its own, or two attacks would contradict each other under one subject.
    return {"name": f"x{uuid4().hex}", "type": kind, "default": default}


def zigzag(number: int) -> bytes:
    """Avro's way to write a long."""
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def _bomb(subject: str) -> Strike:
    """15 bytes that announce 2⁶¹ nulls."""

    def strike(field: Field) -> None:
        schema_id = field.foreign_schema(subject, [_field({"type": "array", "items": "null"}, [])])
        field.send(field.under(schema_id, zigzag(2**61) + b"\0"))

    return strike


def _compatible(kind: Any, default: Any, body: bytes) -> Strike:
    """A version that the rules of the topic's own subject let through, and a record that uses it."""

    def strike(field: Field) -> None:
        schema_id = field.foreign_schema(subject_of(TOPIC), [_field(kind, default)])
        case = field.case()
        field.send(field.under(schema_id, body, case), key=str(case.case_id).encode())

    return strike


def _deep() -> Strike:
    node = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"], "default": None}]}
    return _compatible(["null", node], None, b"\x02" * 200_000 + b"\0")


def _wide() -> Strike:
    """60 types of two fields each, which stand for 2⁶⁰ values without a byte."""
    kind: Any = "null"
    for at in range(60):
        name = f"W{at}"
        kind = {"type": "record", "name": name, "fields": [{"name": "a", "type": kind}, {"name": "b", "type": "null"}]}
        if at:
            kind["fields"][1]["type"] = f"W{at - 1}"
    return _compatible(["null", kind], None, b"\x02")


def _vandalised(field: Field) -> None:
    """Compatibility off, our subject deleted for good, another schema of our name in its place, and a record of it."""
    known = field.serde.encode(field.case(), TOPIC)
    subject = subject_of(TOPIC)
    _ask(field, "PUT", f"/config/{subject}", b'{"compatibility":"NONE"}')
    _ask(field, "DELETE", f"/subjects/{subject}")
    _ask(field, "DELETE", f"/subjects/{subject}?permanent=true")
    schema_id = field.foreign_schema(subject, [_field({"type": "array", "items": "null"}, [])])
    field.send(HEADER.pack(0, schema_id) + zigzag(2**61) + b"\0")
    field.send(known[:3])


def _many_ids(field: Field) -> None:
    """Two thousand records, each of an id of its own that no registry knows."""
    field.send_all([struct.pack(">bI", 0, 500_000 + at) + b"\0\x01" for at in range(2_000)])


def _mended(field: Field) -> str:
    field.serde.register_all(topics.RECORDS)
    return ""


def _ask(field: Field, method: str, path: str, body: bytes | None = None) -> None:
    where = urlsplit(field.settings.schema_registry_url)
    assert where.hostname is not None
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=20)
    try:
        connection.request(method, where.path + path, body, {"Content-Type": "application/json"} if body else {})
        connection.getresponse().read()
    finally:
        connection.close()


_MILLION = zigzag(200_000) + b"\0" * 200_000 + b"\0"

SCHEMAS: Attacks = {
    "15 bytes that announce 2⁶¹ nulls": Attack("7 A2", _bomb(ANYONES)),
    "the same under the topic's own subject": Attack("own", _bomb(subject_of(TOPIC))),
    "a record that holds itself, 200,000 deep": Attack("own", _deep()),
    "a map of 200,000 entries without a byte": Attack(
        "own", _compatible({"type": "map", "values": "null"}, {}, _MILLION)
    ),
    "a type of 2⁶⁰ values in one byte": Attack("own", _wide()),
    "2,000 ids that no registry knows": Attack("own", _many_ids),
    "the registry vandalised, and a bomb under our name": Attack("own", _vandalised, _mended),
}
