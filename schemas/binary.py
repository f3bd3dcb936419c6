"""Between an event and its Avro bytes, without the registry's header (schemas/serde.py adds it).

The only module that calls fastavro's reader: whoever decodes bytes that others wrote comes through here, and so within
the bounds of `schemas.bounds`.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from io import BytesIO
from typing import Any

import fastavro

from schemas import bounds
from schemas.acceptance import Writer, accept, own
from schemas.errors import InvalidEventError, UndecodableError
from schemas.record import RECORDS, Record

Reader = Callable[[bytes, int], Record]


def write(event: Record, header: bytes = b"") -> bytes:
    """`header` followed by the Avro encoding of the event in this version's schema."""
    binding = event.__avro__
    buffer = BytesIO()
    buffer.write(header)
    try:
        fastavro.schemaless_writer(buffer, own(binding.full_name), binding.to_avro(event))
    except (UnicodeEncodeError, OverflowError):
        # The constraints let no such value through but in texts and numbers without bounds of their own.
        raise InvalidEventError(
            "text", "must be valid Unicode, and numbers within 64 bits", binding.full_name
        ) from None
    return buffer.getvalue()


def reader(writer_schema: str) -> Reader:
    """A function that reads events written with `writer_schema` (JSON), an older or newer version of one of ours.

    See `reader_of`. `reader` itself raises UndecodableError when the schema is refused (`schemas.acceptance`).
    """
    return reader_of(accept(writer_schema))


def reader_of(writer: Writer) -> Reader:
    """A function that reads events written with an accepted schema.

    The function takes bytes and the offset at which the Avro begins. It raises UndecodableError when the bytes are no
    such Avro or too many, InvalidEventError when a value is impossible.
    """
    # Without a reader schema fastavro skips resolution field by field, which takes twice as long.
    resolved = None if writer.same else own(writer.name)
    from_avro = RECORDS[writer.name].__avro__.from_avro

    def read(value: bytes, offset: int = 0) -> Record:
        event: Record = from_avro(datum(value, offset, writer, resolved))
        return event

    return read


def datum(value: bytes, offset: int, writer: Writer, resolved: Any = None) -> Any:
    """The plain content of Avro bytes from `offset` to the end, with the fields of the schema `resolved` (None: all).

    Raises UndecodableError when the bytes are no such Avro, or too many.
    """
    bounds.check_value(value)
    buffer = BytesIO(value)
    buffer.seek(offset)
    try:
        found = fastavro.schemaless_reader(buffer, writer.written, resolved)
    except Exception as error:  # fastavro raises what the bytes lead it to: EOFError, IndexError, ValueError …
        raise UndecodableError(f"the bytes are no Avro of {writer.name} ({type(error).__name__})") from None
    if buffer.tell() != len(value):
        raise UndecodableError(f"{len(value) - buffer.tell()} bytes are left over after {writer.name}")
    return found


def narrowed(writer: Writer, names: Container[str]) -> Any:
    """A schema to read only these fields with, as ours has them: one that the writer's lacks has its default.

    Where one field uses another's type all must be read: ours then, or None where the writer's is the same.
    """
    whole = own(writer.name)
    wanted = [field for field in whole["fields"] if field["name"] in names]
    try:
        return fastavro.parse_schema({"type": "record", "name": writer.name, "fields": wanted})
    except fastavro.schema.SchemaParseException:
        return None if writer.same else whole
