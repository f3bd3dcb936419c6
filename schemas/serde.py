"""Events to and from the values of Kafka records: Confluent wire format, schema ids from a real registry.

The format is one zero byte, the schema id as four bytes (big endian), then Avro. Workers only look ids up; registering
is for `vigia topics apply`, so that no worker of a wrong version can change the contract by starting.

Ids and schemas are immutable, so what was seen once is kept for good: a registry that goes away stops nobody who has
already talked to it.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable

from schemas import binary, definitions
from schemas.errors import UndecodableError
from schemas.record import Record
from schemas.registry import COMPATIBILITY, RETRIES, TIMEOUT_S, Registry, subject_of

_HEADER = struct.Struct(">bI")

#: For so long an id that the registry did not know is not asked for again: a flood of foreign bytes must not become a
#: flood of requests, and yet a schema registered a moment too late is found soon.
UNKNOWN_ID_TTL_S = 10.0
#: Foreign bytes can name any of 2³² ids; the memory of the unknown ones is bounded.
UNKNOWN_IDS_KEPT = 1_000


class Serde:
    """Encodes and decodes events; safe to share between threads.

    The first sight of a topic or a schema id asks the registry, and blocks for that long (see Registry).
    """

    def __init__(self, registry_url: str, *, timeout_s: float = TIMEOUT_S, retries: int = RETRIES) -> None:
        self.registry = Registry(registry_url, timeout_s=timeout_s, retries=retries)
        self._headers: dict[tuple[str, type[Record]], bytes] = {}
        self._readers: dict[int, binary.Reader | UndecodableError] = {}
        self._unknown: dict[int, float] = {}

    def close(self) -> None:
        """Close the connection to the registry."""
        self.registry.close()

    def encode(self, event: Record, topic: str) -> bytes:
        """The record value of `event` on `topic`.

        Raises SchemaNotRegisteredError when the topic's subject lacks this version, RegistryUnavailableError when the
        id was never asked for and the registry does not answer.
        """
        record = type(event)
        header = self._headers.get((topic, record)) or self._header(topic, record)
        return binary.write(event, header)

    def decode(self, value: bytes) -> Record:
        """The event in a record value; its type follows from the schema's full name.

        Raises UndecodableError (no bytes of ours), InvalidEventError (impossible values) or RegistryUnavailableError
        (the id was never asked for and the registry does not answer: try again).
        """
        read = self._readers.get(schema_id_of(value)) or self._reader(schema_id_of(value))
        if isinstance(read, UndecodableError):
            raise UndecodableError(str(read))
        return read(value, _HEADER.size)

    def knows(self, value: bytes) -> bool:
        """Whether `decode(value)` answers without asking the registry, and so without blocking."""
        try:
            schema_id = schema_id_of(value)
        except UndecodableError:
            return True
        return schema_id in self._readers or self._is_unknown(schema_id)

    def warm_up(self, topics: Iterable[tuple[str, type[Record]]]) -> None:
        """Look up the ids of all that will be written or read: a registry that goes away later is not missed."""
        for topic, record in topics:
            self._header(topic, record)

    def register_all(self, topics: Iterable[tuple[str, type[Record]]]) -> dict[str, int]:
        """Register this version of each topic's schema under FULL_TRANSITIVE compatibility; topic → schema id.

        Raises IncompatibleSchemaError when the registry refuses one.
        """
        ids: dict[str, int] = {}
        for topic, record in topics:
            subject = subject_of(topic)
            schema = definitions.text(record.__avro__.full_name)
            ids[topic] = self.registry.register(subject, schema)
            # Registries set a rule only on a subject that exists: it follows the first version, and guards the next.
            if self.registry.compatibility(subject) != COMPATIBILITY:
                self.registry.set_compatibility(subject)
            self._remember(topic, record, ids[topic], schema)
        return ids

    def _header(self, topic: str, record: type[Record]) -> bytes:
        schema = definitions.text(record.__avro__.full_name)
        return self._remember(topic, record, self.registry.schema_id(subject_of(topic), schema), schema)

    def _remember(self, topic: str, record: type[Record], schema_id: int, schema: str) -> bytes:
        # What this version writes it can read as well, without asking what the id stands for.
        self._readers.setdefault(schema_id, binary.reader(schema))
        header = self._headers[topic, record] = _HEADER.pack(0, schema_id)
        return header

    def _reader(self, schema_id: int) -> binary.Reader | UndecodableError:
        if self._is_unknown(schema_id):
            return UndecodableError(f"the registry knows no schema id {schema_id}")
        schema = self.registry.schema(schema_id)
        if schema is None:
            if len(self._unknown) >= UNKNOWN_IDS_KEPT:
                self._unknown.clear()
            self._unknown[schema_id] = time.monotonic()
            return UndecodableError(f"the registry knows no schema id {schema_id}")
        read: binary.Reader | UndecodableError
        try:
            read = binary.reader(schema)
        except UndecodableError as error:
            read = UndecodableError(f"schema id {schema_id}: {error}")
        self._readers[schema_id] = read
        return read

    def _is_unknown(self, schema_id: int) -> bool:
        asked = self._unknown.get(schema_id)
        return asked is not None and time.monotonic() - asked < UNKNOWN_ID_TTL_S


def schema_id_of(value: bytes) -> int:
    """The schema id in a record value; UndecodableError when it does not begin with the Confluent header."""
    if len(value) < _HEADER.size or value[0] != 0:
        raise UndecodableError("the value does not begin with a Confluent header (a zero byte and a schema id)")
    schema_id: int = _HEADER.unpack_from(value)[1]
    return schema_id
