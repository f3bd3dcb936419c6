"""Events to and from the values of Kafka records: Confluent wire format, schema ids from a real registry.

The format is one zero byte, the schema id as four bytes (big endian), then Avro. Workers only look ids up; registering
is for `vigia topics apply`, so that no worker of a wrong version can change the contract by starting.

Ids and schemas are immutable, so what was seen once is kept for good: a registry that goes away stops nobody who has
already talked to it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable

from schemas import acceptance, binary, definitions
from schemas.errors import RegistryUnavailableError, SchemaNotRegisteredError, UndecodableError
from schemas.record import Record
from schemas.registry import COMPATIBILITY, RETRIES, TIMEOUT_S, Registry, subject_of
from schemas.writers import HEADER, WRITERS_KEPT, Writers, schema_id_of

logger = logging.getLogger(__name__)

#: A registry that has lost its subjects, or is away, is asked again so often while a process writes ids of its own.
LOOK_AGAIN_S = 10.0
#: Where a subject was deleted, its schema may still be known by its id. So many ids are tried, and no more after so
#: many unknown ones in a row: registries count from 1, and ours hold some twenty schemas.
IDS_TRIED = 500
UNKNOWN_IN_A_ROW = 32


class Serde:
    """Encodes and decodes events; safe to share between threads.

    The first sight of a topic or a schema id asks the registry, and blocks for that long (see Registry).
    """

    def __init__(self, registry_url: str, *, timeout_s: float = TIMEOUT_S, retries: int = RETRIES) -> None:
        self.registry = Registry(registry_url, timeout_s=timeout_s, retries=retries)
        self._headers: dict[tuple[str, type[Record]], bytes] = {}
        self._writers = Writers(self.registry)
        self._readers: dict[tuple[str, int], binary.Reader] = {}
        #: What is written under ids of our own until the registry has it.
        self._carried: list[tuple[str, type[Record]]] = []
        self._closed = threading.Event()

    def close(self) -> None:
        """Close the connection to the registry."""
        self._closed.set()
        self.registry.close()

    def encode(self, event: Record, topic: str) -> bytes:
        """The record value of `event` on `topic`.

        Raises SchemaNotRegisteredError when the topic's subject lacks this version, RegistryUnavailableError when the
        id was never asked for and the registry does not answer.
        """
        record = type(event)
        header = self._headers.get((topic, record)) or self._header(topic, record)
        return binary.write(event, header)

    def decode(self, value: bytes, topic: str) -> Record:
        """The event in a record value of `topic` (its name as declared); its type follows from the schema's full name.

        Raises UndecodableError (no bytes of ours, or a schema that is refused: `schemas.writers`), InvalidEventError
        (impossible values) or RegistryUnavailableError (the id was never asked for and the registry does not answer:
        try again). The work is bounded by the length of the value, whatever schema it names (`schemas.bounds`).
        """
        read = self._readers.get((topic, schema_id_of(value))) or self._reader(topic, schema_id_of(value))
        return read(value, HEADER.size)

    def knows(self, value: bytes, topic: str) -> bool:
        """Whether `decode(value, topic)` answers without asking the registry, and so without blocking."""
        try:
            schema_id = schema_id_of(value)
        except UndecodableError:
            return True
        return (topic, schema_id) in self._readers or self._writers.knows(topic, schema_id)

    def warm_up(self, topics: Iterable[tuple[str, type[Record]]]) -> None:
        """Look up the ids of all that will be written or read: a registry that goes away later is not missed."""
        for topic, record in topics:
            self._header(topic, record)

    def start(self, topics: Iterable[tuple[str, type[Record]]], patience_s: float) -> str | None:
        """`warm_up` for a process that must work whatever has become of the registry; one line that says what has.

        Where a subject was deleted, the id that its schema still has is used; where there is none, or no answer for
        `patience_s`, an id that stands for the schema in every process which carries it (`acceptance.carried_id`).
        Such an id is given up as soon as the registry has the schema again.
        """
        deadline = time.monotonic() + patience_s
        lost: list[str] = []
        away: RegistryUnavailableError | None = None
        for topic, record in topics:
            try:
                if away is None:
                    away = self._header_until(deadline, topic, record)
            except SchemaNotRegisteredError:
                lost.append(topic)
                away = self._by_content_or_carried(topic, record)
                continue
            if away is not None:
                self._carry(topic, record)
        if self._carried:
            threading.Thread(target=self._look_again, name="registry", daemon=True).start()
        if away is not None:
            return f"{away}; starting with the schemas that this version carries"
        if lost:
            return (
                f"the registry has lost the schema of {', '.join(lost)}: run `vigia topics apply`; "
                "starting with those that this version carries"
            )
        return None

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
        self._writers.remember(topic, schema_id, schema)
        header = self._headers[topic, record] = HEADER.pack(0, schema_id)
        return header

    def _reader(self, topic: str, schema_id: int) -> binary.Reader:
        read = binary.reader_of(self._writers.writer(topic, schema_id))
        if len(self._readers) >= WRITERS_KEPT:
            self._readers.clear()
        self._readers[topic, schema_id] = read
        return read

    def _header_until(self, deadline: float, topic: str, record: type[Record]) -> RegistryUnavailableError | None:
        """Look the id up, again and again until the deadline; the error where the registry did not answer."""
        while True:
            try:
                self._header(topic, record)
                return None
            except RegistryUnavailableError as error:
                if time.monotonic() >= deadline:
                    return error
                time.sleep(min(0.5, max(0.0, deadline - time.monotonic())))

    def _by_content_or_carried(self, topic: str, record: type[Record]) -> RegistryUnavailableError | None:
        try:
            schema_id = self._id_by_content(record)
        except RegistryUnavailableError as error:
            self._carry(topic, record)
            return error
        if schema_id is None:
            self._carry(topic, record)
        else:
            self._remember(topic, record, schema_id, definitions.text(record.__avro__.full_name))
        return None

    def _id_by_content(self, record: type[Record]) -> int | None:
        unknown = 0
        for schema_id in range(1, IDS_TRIED + 1):
            # The client keeps what it was given once: the next record costs little.
            text = self.registry.schema(schema_id)
            unknown = unknown + 1 if text is None else 0
            if unknown > UNKNOWN_IN_A_ROW:
                return None
            if text is not None and acceptance.is_own(record.__avro__.full_name, text):
                return schema_id
        return None

    def _carry(self, topic: str, record: type[Record]) -> None:
        name = record.__avro__.full_name
        self._remember(topic, record, acceptance.carried_id(name), definitions.text(name))
        self._carried.append((topic, record))

    def _look_again(self) -> None:
        while self._carried and not self._closed.wait(LOOK_AGAIN_S):
            for topic, record in list(self._carried):
                try:
                    self._header(topic, record)
                except (RegistryUnavailableError, SchemaNotRegisteredError):
                    break
                self._carried.remove((topic, record))
        if not self._carried:
            logger.info("the schema registry has all schemas again")
