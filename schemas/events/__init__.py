"""The typed, immutable events of the contract. Import them from here; the modules behind are how they are grouped."""

from schemas.events.case import CaseEvent, ImageReference
from schemas.events.codes import (
    AcknowledgementAction,
    AnatomicalLocation,
    EscalationType,
    GradingKind,
    InfectionSign,
    Lane,
    ModelAction,
    ModelStatus,
    PipelineStage,
    ReviewPriority,
    Severity,
    StageClass,
)
from schemas.events.context import BradenSubscores, PatientContext
from schemas.events.escalation import AcknowledgementEvent, EscalationEvent
from schemas.events.grading import EscalationRequest, GradingEvent, ProtocolReference, Reason, Text
from schemas.events.inference import Finding, InferenceEvent, Region, ShadowFinding
from schemas.events.operations import AuditEntry, ModelControlEvent, TickEvent
from schemas.record import Record

#: Any event of a case: it has an `event_id` of its own and the `case_id`.
CaseRecord = CaseEvent | InferenceEvent | GradingEvent | EscalationEvent | AcknowledgementEvent | AuditEntry
#: Any record that travels as a message of its own.
Event = CaseRecord | TickEvent | ModelControlEvent

__all__ = [
    "AcknowledgementAction",
    "AcknowledgementEvent",
    "AnatomicalLocation",
    "AuditEntry",
    "BradenSubscores",
    "CaseEvent",
    "CaseRecord",
    "EscalationEvent",
    "EscalationRequest",
    "EscalationType",
    "Event",
    "Finding",
    "GradingEvent",
    "GradingKind",
    "ImageReference",
    "InfectionSign",
    "InferenceEvent",
    "Lane",
    "ModelAction",
    "ModelControlEvent",
    "ModelStatus",
    "PatientContext",
    "PipelineStage",
    "ProtocolReference",
    "Reason",
    "Record",
    "Region",
    "ReviewPriority",
    "Severity",
    "ShadowFinding",
    "StageClass",
    "Text",
    "TickEvent",
]
