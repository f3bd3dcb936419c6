"""Records that keep the pipeline itself going: audit, time, and which model judges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Annotated
from uuid import UUID

from schemas.constraints import Code, Known, Length, Name, Probability, Sha256, Token
from schemas.events.codes import ModelAction, PipelineStage
from schemas.record import Record, record


@record
class AuditEntry(Record):
    """One record that a stage produced: what it says, and the hashes that link it to the record it came from."""

    event_id: UUID
    case_id: UUID
    stage: PipelineStage
    decided_at: datetime
    topic: Code
    outcome: Code
    source_event_id: UUID | None = None
    input_hash: Sha256 | None = None
    output_hash: Sha256
    model_version: Name | None = None
    policy_version: Code | None = None
    attributes: Mapping[str, Annotated[str, Length(0, 500)]] = field(default_factory=dict)


@record
class TickEvent(Record):
    """Time as an event: what is due by `now` on this partition shall happen."""

    now: datetime


@record
class ModelControlEvent(Record):
    """An order to the inference workers about one model version; `share` is the part of cases it shall judge."""

    event_id: UUID
    action: Annotated[ModelAction, Known()]
    model_version: Name
    share: Probability = 1.0
    decided_at: datetime
    decided_by: Token | None = None
