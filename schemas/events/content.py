"""What an event says of its case, in one form: by it the same event come again is told from another under its id.

It is read off the plain Avro content, so that a program which does not make events (the audit) tells them apart too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from schemas.record import Record


def content_hash(event: Record) -> bytes:
    """SHA-256 of what the event says of its case: the same whenever, and by whomever, the case is published again."""
    return content_hash_of(event.__avro__.to_avro(event))


def content_hash_of(datum: Mapping[str, Any]) -> bytes:
    """As `content_hash`, of an event's plain Avro content."""
    image = datum.get("image")
    told = {name: datum.get(name) for name in ("case_id", "captured_at", "patient_token", "context")}
    told["image"] = image.get("sha256") if isinstance(image, dict) else None
    told["synthetic"] = datum.get("synthetic") or None
    return hashlib.sha256(_canonical(told)).digest()


def context_digest(context: Record) -> str:
    """SHA-256 (hex) of what is known of the patient; empty where nothing is. It is part of a case event's id."""
    known = _known(context.__avro__.to_avro(context))
    return hashlib.sha256(_canonical(known)).hexdigest() if known else ""


def _canonical(value: Any) -> bytes:
    return json.dumps(_known(value), sort_keys=True, separators=(",", ":"), default=str).encode()


def _known(value: Any) -> Any:
    """Without what is unknown, so that a newer version's field that nobody has filled in changes nothing."""
    if isinstance(value, dict):
        return {
            name: item if isinstance(item, str) else _known(item) for name, item in value.items() if item is not None
        }
    if isinstance(value, list | tuple):
        if len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict):
            # A record within a union, as it is written.
            return _known(value[1])
        return [_known(item) for item in value]
    return value
