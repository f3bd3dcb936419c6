"""Reads the few fields that waiting times need: a whole grading takes thirty times as long as its lane and time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas import binary
from schemas.errors import UndecodableError
from schemas.writers import HEADER, Schemas, Writers, schema_id_of
from streams import topics

#: Record → fields read of it.
WANTED: Mapping[str, tuple[str, ...]] = {
    "CaseEvent": ("lane", "published_at", "synthetic"),
    "InferenceEvent": ("lane", "published_at", "synthetic"),
    "GradingEvent": ("lane", "published_at", "escalations", "synthetic"),
    "EscalationEvent": (
        "escalation_id", "case_id", "type", "review_priority", "role", "level", "raised_at", "respond_by", "synthetic",
    ),
    "AuditEntry": ("source_event_id", "stage", "outcome", "attributes"),
}  # fmt: skip


class Projection:
    """Decodes record values into plain mappings of the wanted fields; asks the registry once a schema id."""

    def __init__(self, registry: Schemas) -> None:
        self._writers = Writers(registry)
        self._narrowed: dict[tuple[str, int], Any] = {}

    def read(self, topic: str, value: bytes | None) -> Mapping[str, Any] | None:
        """Wanted fields (times in microseconds) of a value of `topic`; None for what is no event that belongs there.

        Raises RegistryUnavailableError.
        """
        if value is None:
            return None
        try:
            key = (topic, schema_id_of(value))
            writer = self._writers.writer(*key)
            wanted = WANTED.get(writer.name.rpartition(".")[2])
            if wanted is None or not _belongs(topic, writer.name):
                return None
            if key not in self._narrowed:
                self._narrowed[key] = binary.narrowed(writer, wanted)
            found: Mapping[str, Any] = binary.datum(value, HEADER.size, writer, self._narrowed[key])
        except UndecodableError:
            # The stages dead-letter such a record.
            return None
        return found


def _belongs(topic: str, name: str) -> bool:
    declared = topics.BY_NAME.get(topic)
    return declared is None or declared.record is None or declared.record.__avro__.full_name == name
