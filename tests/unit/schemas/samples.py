"""One complete event of each kind, for tests that change a single thing."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from schemas.events import (
    AcknowledgementAction,
    AcknowledgementEvent,
    AnatomicalLocation,
    AuditEntry,
    BradenSubscores,
    CaseEvent,
    EscalationEvent,
    EscalationRequest,
    EscalationType,
    Finding,
    GradingEvent,
    GradingKind,
    ImageReference,
    InfectionSign,
    InferenceEvent,
    Lane,
    ModelAction,
    ModelControlEvent,
    ModelStatus,
    PatientContext,
    PipelineStage,
    ProtocolReference,
    Reason,
    Record,
    ReviewPriority,
    Severity,
    StageClass,
    Text,
    TickEvent,
)

NOW = datetime(2026, 3, 1, 12, 30, 0, 123456, tzinfo=UTC)
CASE = UUID("11111111-1111-5111-8111-111111111111")
OTHER = UUID("22222222-2222-5222-8222-222222222222")
TOKEN = "a" * 64
PATIENT = "vpt1-00000000-" + "a" * 64
HASH = "b" * 64

TEXT = Text(code="relieve_pressure", es="Alivie la presión ahora", en="Relieve pressure now")
REASON = Reason(code="stage_3", rule_id="stage.3", source="minsal-ot-2023", es="Categoría III", en="Category III")
IMAGE = ImageReference(uri=f"file:///pictures/{HASH}", sha256=HASH, size_bytes=123_456, media_type="image/jpeg")
CONTEXT = PatientContext(
    age=85,
    diabetes=True,
    medications=("warfarin",),
    infection_signs=(InfectionSign.FEVER,),
    albumin_g_dl=3.1,
    braden_subscores=BradenSubscores(sensory=2, moisture=2, activity=1, mobility=1, nutrition=2, friction=1),
    anatomical_location=AnatomicalLocation.SACRUM,
)
FINDING = Finding(
    stage=StageClass.STAGE_3,
    confidence=0.82,
    probabilities={"stage_3": 0.82, "stage_2": 0.18},
    quality={"sharpness": 120.5},
)
REQUEST = EscalationRequest(
    type=EscalationType.HUMAN_REVIEW,
    roles=("medical_team",),
    channels=("#equipo-medico",),
    review_priority=ReviewPriority.HIGH,
    respond_within_s=7200,
    reescalate_every_s=1800,
    reasons=("stage_3",),
)

CASE_EVENT = CaseEvent(
    event_id=OTHER,
    case_id=CASE,
    lane=Lane.EMERGENCY,
    captured_at=NOW,
    published_at=NOW,
    patient_token=PATIENT,
    image=IMAGE,
    context=CONTEXT,
    producer="ward-tablet",
)
INFERENCE_EVENT = InferenceEvent(
    event_id=OTHER,
    case_id=CASE,
    source_event_id=OTHER,
    lane=Lane.EMERGENCY,
    captured_at=NOW,
    published_at=NOW,
    taken_up_at=NOW,
    inferred_at=NOW,
    patient_token=PATIENT,
    image=IMAGE,
    context=CONTEXT,
    findings=(FINDING,),
    model_version="cnn-1",
    model_status=ModelStatus.JUDGED,
)
GRADING_EVENT = GradingEvent(
    event_id=OTHER,
    case_id=CASE,
    source_event_id=OTHER,
    kind=GradingKind.DECISION,
    lane=Lane.EMERGENCY,
    captured_at=NOW,
    published_at=NOW,
    graded_at=NOW,
    patient_token=PATIENT,
    image=IMAGE,
    severity=Severity.URGENT,
    stage=StageClass.STAGE_3,
    confidence=0.82,
    model_version="cnn-1",
    policy_version="1.0.0",
    policy_hash=HASH,
    reasons=(REASON, REASON, REASON),
    recommendations=(TEXT, TEXT, TEXT),
    warnings=(TEXT, TEXT),
    contraindications=(TEXT,),
    notifications=(TEXT,),
    escalations=(REQUEST, REQUEST),
    follow_up_s=86_400,
    protocols=(ProtocolReference(id="lpp_prevention", version="1"),),
)
ESCALATION_EVENT = EscalationEvent(
    event_id=OTHER,
    escalation_id=OTHER,
    case_id=CASE,
    source_event_id=OTHER,
    type=EscalationType.HUMAN_REVIEW,
    level=0,
    role="nurse_specialist",
    roles=("medical_team",),
    channels=("#equipo-medico",),
    review_priority=ReviewPriority.HIGH,
    severity=Severity.URGENT,
    stage=StageClass.STAGE_3,
    confidence=0.82,
    raised_at=NOW,
    respond_by=NOW,
    lane=Lane.EMERGENCY,
    captured_at=NOW,
    published_at=NOW,
    patient_token=PATIENT,
    image=IMAGE,
    model_version="cnn-1",
    policy_version="1.0.0",
    policy_hash=HASH,
    reasons=(REASON, REASON, REASON),
    recommendations=(TEXT, TEXT, TEXT),
    warnings=(TEXT, TEXT),
    contraindications=(TEXT,),
    follow_up_s=86_400,
    disclaimer=TEXT,
)
ACKNOWLEDGEMENT_EVENT = AcknowledgementEvent(
    event_id=OTHER,
    case_id=CASE,
    escalation_id=OTHER,
    action=AcknowledgementAction.RESOLVE,
    role="nurse_specialist",
    acknowledged_at=NOW,
    resolved_stage=StageClass.STAGE_2,
    acknowledged_by=TOKEN,
)
AUDIT_ENTRY = AuditEntry(
    event_id=OTHER,
    case_id=CASE,
    stage=PipelineStage.GRADING,
    decided_at=NOW,
    topic="vigia.gradings",
    outcome="graded:urgent",
    source_event_id=OTHER,
    input_hash=HASH,
    output_hash=HASH,
    model_version="cnn-1",
    policy_version="1.0.0",
    attributes={"batch": "3"},
)
TICK_EVENT = TickEvent(now=NOW)
MODEL_CONTROL_EVENT = ModelControlEvent(
    event_id=OTHER, action=ModelAction.PROMOTE, model_version="cnn-2", decided_at=NOW, decided_by=TOKEN
)

ALL: tuple[Record, ...] = (
    CASE_EVENT,
    INFERENCE_EVENT,
    GRADING_EVENT,
    ESCALATION_EVENT,
    ACKNOWLEDGEMENT_EVENT,
    AUDIT_ENTRY,
    TICK_EVENT,
    MODEL_CONTROL_EVENT,
)
