"""Measures the microseconds per event of writing and reading, by record: `python -m ops.bench.serde`.

A stage has 200 µs of CPU per event, for reading its input, deciding, writing its output and the audit entry. The events
are of ordinary size: a full context, seven probabilities, three reasons in two languages.
"""

from __future__ import annotations

import json
import platform
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid5

import click

from schemas import binary, definitions, events
from schemas.ids import NAMESPACE
from schemas.record import Record

_AT = datetime(2026, 3, 1, 12, 30, 0, 123456, tzinfo=UTC)
_ID = uuid5(NAMESPACE, "benchmark")
_HASH = "ab" * 32
_TOKEN = "vpt1-00000000-" + "a" * 64


def sample_events() -> tuple[Record, ...]:
    """A case, its inference, grading, escalation and audit entry."""
    text = events.Text(
        code="relieve_pressure",
        es="Alivie la presión ahora; apósito de espuma o película transparente",
        en="Relieve pressure now; foam or transparent film dressing",
    )
    reason = events.Reason(code="stage_3", rule_id="stage.3", source="minsal-ot-2023", es=text.es, en=text.en)
    image = events.ImageReference(
        uri=f"s3://pictures/ab/{_HASH}", sha256=_HASH, size_bytes=345_678, media_type="image/jpeg"
    )
    context = events.PatientContext(
        age=85,
        diabetes=True,
        anticoagulants=False,
        medications=("warfarin", "metformin"),
        infection_signs=(events.InfectionSign.FEVER,),
        albumin_g_dl=3.1,
        braden_score=11,
        anatomical_location=events.AnatomicalLocation.SACRUM,
    )
    classes = [stage.value for stage in events.StageClass if stage is not events.StageClass.UNKNOWN]
    finding = events.Finding(
        stage=events.StageClass.STAGE_3,
        confidence=0.82,
        probabilities=dict.fromkeys(classes, 1 / len(classes)),
        quality={"sharpness": 120.5, "brightness": 0.41, "skin": 0.93},
    )
    request = events.EscalationRequest(
        type=events.EscalationType.HUMAN_REVIEW,
        roles=("medical_team",),
        channels=("#equipo-medico",),
        review_priority=events.ReviewPriority.URGENT,
        respond_within_s=7200,
        reescalate_every_s=600,
        reasons=("stage_3",),
    )
    case = events.CaseEvent(
        event_id=_ID, case_id=_ID, lane=events.Lane.EMERGENCY, captured_at=_AT, published_at=_AT, patient_token=_TOKEN,
        image=image, context=context, producer="ward-tablet",
    )  # fmt: skip
    inference = events.InferenceEvent(
        event_id=_ID, case_id=_ID, source_event_id=_ID, lane=events.Lane.EMERGENCY, captured_at=_AT, published_at=_AT,
        taken_up_at=_AT, inferred_at=_AT, patient_token=_TOKEN, image=image, context=context, findings=(finding,),
        model_version="1.0.0", model_status=events.ModelStatus.JUDGED,
    )  # fmt: skip
    grading = events.GradingEvent(
        event_id=_ID, case_id=_ID, source_event_id=_ID, kind=events.GradingKind.DECISION, lane=events.Lane.EMERGENCY,
        captured_at=_AT, published_at=_AT, graded_at=_AT, patient_token=_TOKEN, image=image,
        severity=events.Severity.URGENT, stage=events.StageClass.STAGE_3, confidence=0.82, model_version="1.0.0",
        policy_version="1.0.0", policy_hash=_HASH, reasons=(reason,) * 3, recommendations=(text,) * 3,
        warnings=(text,) * 2, contraindications=(text,), notifications=(text,), escalations=(request,) * 2,
        follow_up_s=86_400, protocols=(events.ProtocolReference(id="lpp_prevention", version="1"),),
    )  # fmt: skip
    escalation = events.EscalationEvent(
        event_id=_ID, escalation_id=_ID, case_id=_ID, source_event_id=_ID, type=events.EscalationType.HUMAN_REVIEW,
        level=0, role="nurse_specialist", roles=("medical_team",), channels=("#equipo-medico",),
        review_priority=events.ReviewPriority.URGENT, severity=events.Severity.URGENT, stage=events.StageClass.STAGE_3,
        confidence=0.82, raised_at=_AT, respond_by=_AT, lane=events.Lane.EMERGENCY, captured_at=_AT, published_at=_AT,
        patient_token=_TOKEN, image=image, model_version="1.0.0", policy_version="1.0.0", policy_hash=_HASH,
        reasons=(reason,) * 3, recommendations=(text,) * 3, warnings=(text,) * 2, contraindications=(text,),
        follow_up_s=86_400, disclaimer=text,
    )  # fmt: skip
    audit = events.AuditEntry(
        event_id=_ID, case_id=_ID, stage=events.PipelineStage.GRADING, decided_at=_AT, topic="vigia.gradings",
        outcome="graded:urgent", source_event_id=_ID, input_hash=_HASH, output_hash=_HASH, model_version="1.0.0",
        policy_version="1.0.0",
    )  # fmt: skip
    return case, inference, grading, escalation, audit


def _measure(event: Record, rounds: int) -> dict[str, float]:
    header = b"\0\0\0\0\1"
    value = binary.write(event, header)
    read = binary.reader(definitions.text(event.__avro__.full_name))
    return {
        "bytes": len(value),
        "write_us": round(_microseconds(lambda: binary.write(event, header), rounds), 1),
        "read_us": round(_microseconds(lambda: read(value, len(header)), rounds), 1),
    }


def _microseconds(work: Callable[[], object], rounds: int) -> float:
    # The minimum of several runs: other work of the machine can only add to it.
    return min(timeit.repeat(work, number=rounds, repeat=5)) / rounds * 1e6


@click.command()
@click.option("--rounds", default=5000, show_default=True, help="Calls per run; the best of five runs counts.")
@click.option("--json", "as_json", is_flag=True, help="Write the figures as JSON.")
def main(rounds: int, as_json: bool) -> None:
    """Measure writing and reading of each record."""
    figures = {type(event).__name__: _measure(event, rounds) for event in sample_events()}
    if as_json:
        click.echo(json.dumps(figures))
        return
    click.echo(f"Python {platform.python_version()}; microseconds per event, best of 5 × {rounds}")
    for name, row in figures.items():
        click.echo(f"{name:16} {row['bytes']:5} bytes   write {row['write_us']:5.1f}   read {row['read_us']:5.1f}")


if __name__ == "__main__":
    main()
