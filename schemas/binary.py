"""Between an event and its Avro bytes, without the registry's header (schemas/serde.py adds it)."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import Any

import fastavro
from fastavro.schema import to_parsing_canonical_form

from schemas import definitions
from schemas.errors import InvalidEventError, UndecodableError
from schemas.record import RECORDS, Record

Reader = Callable[[bytes, int], Record]


def write(event: Record, header: bytes = b"") -> bytes:
    """`header` followed by the Avro encoding of the event in this version's schema."""
    binding = event.__avro__
    buffer = BytesIO()
    buffer.write(header)
    try:
        fastavro.schemaless_writer(buffer, _own(binding.full_name), binding.to_avro(event))
    except (UnicodeEncodeError, OverflowError):
        # The constraints let no such value through but in texts and numbers without bounds of their own.
        raise InvalidEventError(
            "text", "must be valid Unicode, and numbers within 64 bits", binding.full_name
        ) from None
    return buffer.getvalue()


def reader(writer_schema: str) -> Reader:
    """A function that reads events written with `writer_schema` (JSON), an older or newer version of one of ours.

    The function takes bytes and the offset at which the Avro begins. It raises UndecodableError when the bytes are no
    such Avro, InvalidEventError when a value is impossible. `reader` itself raises UndecodableError when the schema is
    not a version of one of our records.
    """
    written, name = _parse(writer_schema)
    record = RECORDS.get(name)
    if record is None:
        raise UndecodableError(f"a schema of {name} is none of the contract's")
    own = _own(name)
    # Without a reader schema fastavro skips resolution field by field, which takes twice as long. Canonical forms are
    # compared, since a registry may give a schema back in another spelling than it was registered in.
    resolved = None if to_parsing_canonical_form(written) == to_parsing_canonical_form(own) else own
    from_avro = record.__avro__.from_avro

    def read(value: bytes, offset: int = 0) -> Record:
        buffer = BytesIO(value)
        buffer.seek(offset)
        try:
            datum = fastavro.schemaless_reader(buffer, written, resolved)
        except Exception as error:  # fastavro raises what the bytes lead it to: EOFError, IndexError, ValueError …
            raise UndecodableError(f"the bytes are no Avro of {name} ({type(error).__name__})") from None
        if buffer.tell() != len(value):
            raise UndecodableError(f"{len(value) - buffer.tell()} bytes are left over after {name}")
        event: Record = from_avro(datum)
        return event

    return read


def _parse(writer_schema: str) -> tuple[Any, str]:
    try:
        parsed = fastavro.parse_schema(definitions.plain(json.loads(writer_schema)))
        return parsed, parsed["name"]
    except Exception as error:  # parse_schema raises KeyError and TypeError too for what is no schema.
        raise UndecodableError(f"the registered schema cannot be used ({type(error).__name__})") from None


@cache
def _own(full_name: str) -> Any:
    return fastavro.parse_schema(definitions.plain(definitions.inline(full_name, definitions.packaged())))
