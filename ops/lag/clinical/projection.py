"""Reads the few fields that waiting times need: a whole grading takes thirty times as long as its lane and time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import fastavro

from schemas import definitions
from schemas.errors import UndecodableError
from schemas.registry import Registry
from schemas.serde import schema_id_of

_HEADER_BYTES = 5

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

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._schemas: dict[int, tuple[Any, Any] | None] = {}

    def read(self, value: bytes | None) -> Mapping[str, Any] | None:
        """The wanted fields (times in microseconds), or None for what is no event of ours.

        Raises RegistryUnavailableError.
        """
        if value is None:
            return None
        try:
            schema_id = schema_id_of(value)
            if schema_id not in self._schemas:
                self._schemas[schema_id] = _narrowed(self._registry.schema(schema_id))
        except UndecodableError:
            return None
        schemas = self._schemas[schema_id]
        if schemas is None:
            return None
        buffer = BytesIO(value)
        buffer.seek(_HEADER_BYTES)
        try:
            found: Mapping[str, Any] = fastavro.schemaless_reader(buffer, *schemas)
        except Exception:  # fastavro raises whatever the bytes lead it to; the stages dead-letter such a record
            return None
        return found


def _narrowed(text: str | None) -> tuple[Any, Any] | None:
    if text is None:
        return None
    try:
        plain = definitions.plain(json.loads(text))
        written = fastavro.parse_schema(plain)
        name = written["name"]
        wanted = WANTED[name.rsplit(".", 1)[-1]]
        fields = [field for field in plain["fields"] if field["name"] in wanted]
        return written, fastavro.parse_schema({"type": "record", "name": name, "fields": fields})
    except Exception:  # a foreign schema: its records hold nothing for us
        return None
