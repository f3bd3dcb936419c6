"""The closed vocabularies of the contract. `UNKNOWN` is what a reader sees of a symbol that a newer writer added."""

from __future__ import annotations

from enum import StrEnum


class Lane(StrEnum):
    """The queue a case waits in; emergencies have one of their own."""

    UNKNOWN = "unknown"
    ROUTINE = "routine"
    EMERGENCY = "emergency"


class StageClass(StrEnum):
    """NPIAP 2016 class of a pressure injury."""

    UNKNOWN = "unknown"
    NONE = "none"
    STAGE_1 = "stage_1"
    STAGE_2 = "stage_2"
    STAGE_3 = "stage_3"
    STAGE_4 = "stage_4"
    UNSTAGEABLE = "unstageable"
    DTPI = "dtpi"


class Severity(StrEnum):
    """What a decision means for the ward."""

    UNKNOWN = "unknown"
    ROUTINE_PREVENTION = "routine_prevention"
    ATTENTION = "attention"
    IMPORTANT = "important"
    URGENT = "urgent"
    EMERGENCY = "emergency"
    SPECIALIZED_EVALUATION = "specialized_evaluation"
    STRICT_MONITORING = "strict_monitoring"


class EscalationType(StrEnum):
    """Whom an escalation asks; each has a topic of its own."""

    UNKNOWN = "unknown"
    EMERGENCY = "emergency"
    SPECIALIST_REVIEW = "specialist_review"
    HUMAN_REVIEW = "human_review"
    HIGH_RISK = "high_risk"
    SYSTEM_ERROR = "system_error"


class ReviewPriority(StrEnum):
    """How soon a person must answer, most pressing first."""

    UNKNOWN = "unknown"
    EMERGENCY = "emergency"
    URGENT = "urgent"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class PipelineStage(StrEnum):
    """The part of the pipeline that wrote an audit entry."""

    UNKNOWN = "unknown"
    INGEST = "ingest"
    INFERENCE = "inference"
    GRADING = "grading"
    ESCALATION = "escalation"
    ACKNOWLEDGEMENT = "acknowledgement"
    QUARANTINE = "quarantine"
    CONTROL = "control"
    NOTIFICATION = "notification"


class ModelStatus(StrEnum):
    """What came of asking the model; only `JUDGED` carries a class."""

    UNKNOWN = "unknown"
    JUDGED = "judged"
    ABSTAINED = "abstained"
    FAILED = "failed"
    UNAVAILABLE = "unavailable"


class GradingKind(StrEnum):
    """Whether a grading is a decision by the rules, or the answer to a case that could not be judged."""

    UNKNOWN = "unknown"
    DECISION = "decision"
    QUARANTINE = "quarantine"


class AcknowledgementAction(StrEnum):
    """What a person did with an escalation."""

    UNKNOWN = "unknown"
    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"


class ModelAction(StrEnum):
    """What the inference workers are told to do with a model version."""

    UNKNOWN = "unknown"
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    CANARY = "canary"
    SHADOW = "shadow"
    CLEAR = "clear"


class AnatomicalLocation(StrEnum):
    """Where the lesion is; `UNKNOWN` is a legitimate answer, since a location is never guessed."""

    UNKNOWN = "unknown"
    SACRUM = "sacrum"
    COCCYX = "coccyx"
    HEEL = "heel"
    ANKLE = "ankle"
    ELBOW = "elbow"
    SHOULDER = "shoulder"
    SCAPULA = "scapula"
    OCCIPUT = "occiput"
    TROCHANTER = "trochanter"
    ISCHIUM = "ischium"
    KNEE = "knee"
    HIP = "hip"
    OTHER = "other"


class InfectionSign(StrEnum):
    """A sign of infection seen at the bedside."""

    UNKNOWN = "unknown"
    CELLULITIS = "cellulitis"
    FEVER = "fever"
    PURULENT_EXUDATE = "purulent_exudate"
    ODOUR = "odour"
