"""An inference event from a case and what was said of its picture."""

from __future__ import annotations

from datetime import UTC, datetime

from inference.findings import Finding as ModelFinding
from schemas import ids
from schemas.events import CaseEvent, Finding, ImageReference, InferenceEvent, ModelStatus, Region, StageClass
from schemas.events.carried import carried
from streams import metrics
from streams.serving.judge import Judgement


def inference_event(
    case: CaseEvent, verdict: Judgement, heat_map: ImageReference | None, taken_up_at: datetime
) -> InferenceEvent:
    """The event of a picture that was shown to the model, or would have been."""
    answer = verdict.answer
    findings: tuple[Finding, ...] = ()
    if isinstance(answer, ModelStatus):
        status = answer
    else:
        status = ModelStatus.ABSTAINED if answer.stage is None else ModelStatus.JUDGED
        findings = (_finding(answer),)
        if not case.synthetic:
            _observe(answer)
    return InferenceEvent(
        event_id=ids.derived_id(case.event_id, "inference", verdict.model_version or "none"),
        source_event_id=case.event_id,
        taken_up_at=taken_up_at,
        inferred_at=datetime.now(UTC),
        context=case.context,
        findings=findings,
        model_version=verdict.model_version,
        model_status=status,
        failure=f"model_{status.value}" if not findings else None,
        heat_map=heat_map,
        shadow=verdict.shadow,
        **carried(case),
    )


def outcome(event: InferenceEvent) -> str:
    """The audit's word for what the model said."""
    if not event.findings:
        return f"model_{event.model_status.value}"
    finding = event.findings[0]
    return f"abstained:{finding.abstained}" if finding.stage is None else f"judged:{finding.stage.value}"


def _finding(said: ModelFinding) -> Finding:
    region = said.region
    return Finding(
        stage=None if said.stage is None else StageClass(said.stage),
        confidence=said.confidence,
        probabilities=dict(said.probabilities),
        abstained=said.abstained,
        quality=dict(said.quality),
        region=None if region is None else Region(x=region.x, y=region.y, w=region.w, h=region.h),
    )


def _observe(said: ModelFinding) -> None:
    if said.abstained is not None:
        metrics.ABSTENTIONS.labels(said.abstained).inc()
    for name, probability in said.probabilities.items():
        metrics.CLASS_PROBABILITY.labels(name).observe(probability)
