"""What the image model said, with everything grading needs, so that no stage has to look anything up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Annotated
from uuid import UUID

from schemas.constraints import Code, Finite, Known, Name, PatientToken, Probability
from schemas.errors import InvalidEventError
from schemas.events.case import ImageReference
from schemas.events.codes import Lane, ModelStatus, StageClass
from schemas.events.context import PatientContext
from schemas.record import Record, record


@record
class Region(Record):
    """A box around a lesion, as fractions of the picture's width and height; `x`, `y` is the top left corner."""

    x: Probability
    y: Probability
    w: Probability
    h: Probability


@record
class Finding(Record):
    """One lesion, or the picture as a whole when `region` is None.

    `confidence` is the calibrated probability of `stage`; `probabilities` has one entry per class, `quality` one per
    measure of the picture (units in the model card). `abstained` is a reason code, and then `stage` is None.
    """

    stage: StageClass | None = None
    confidence: Probability | None = None
    probabilities: Mapping[str, Probability] = field(default_factory=dict)
    abstained: Code | None = None
    quality: Mapping[str, Annotated[float, Finite()]] = field(default_factory=dict)
    region: Region | None = None


@record
class ShadowFinding(Record):
    """What a model under trial would have said; it decides nothing."""

    model_version: Name
    stage: StageClass | None = None
    confidence: Probability | None = None


@record
class InferenceEvent(Record):
    """The findings on one case, or why there are none (`model_status`, `failure`)."""

    event_id: UUID
    case_id: UUID
    source_event_id: UUID
    lane: Annotated[Lane, Known()]
    captured_at: datetime
    published_at: datetime
    taken_up_at: datetime
    inferred_at: datetime
    patient_token: PatientToken | None = None
    image: ImageReference
    context: PatientContext
    findings: tuple[Finding, ...] = ()
    model_version: Name | None = None
    model_status: Annotated[ModelStatus, Known()]
    failure: Code | None = None
    heat_map: ImageReference | None = None
    shadow: ShadowFinding | None = None
    synthetic: bool = False

    def _check_together(self) -> None:
        if self.model_status is ModelStatus.JUDGED and not self.findings:
            raise InvalidEventError("findings", "must not be empty when model_status is judged", "InferenceEvent")
