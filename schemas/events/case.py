"""What a camera, tablet or bot publishes: a picture by reference, and the patient's context."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from schemas.canary import PRODUCER
from schemas.constraints import LONG_MAX, Known, MediaType, Name, PatientToken, Range, Sha256, Uri
from schemas.errors import InvalidEventError
from schemas.events.codes import Lane
from schemas.events.context import PatientContext
from schemas.record import Record, record


@record
class ImageReference(Record):
    """A picture in the image store (claim check): where it is, and what must be found there."""

    uri: Uri
    sha256: Sha256
    size_bytes: Annotated[int, Range(0, LONG_MAX)]
    media_type: MediaType


@record
class CaseEvent(Record):
    """One picture of one patient at one time, to be judged."""

    event_id: UUID
    case_id: UUID
    lane: Annotated[Lane, Known()]
    captured_at: datetime
    published_at: datetime
    patient_token: PatientToken | None = None
    image: ImageReference
    context: PatientContext
    producer: Name
    synthetic: bool = False
    proof: Sha256 | None = None

    def _check_together(self) -> None:
        if self.synthetic and (
            self.patient_token is not None or self.proof is None or self.producer != PRODUCER or self.context != _NOBODY
        ):
            # A synthetic case asks nobody; of a real patient it would be an alarm that is silenced.
            problem = "is for the canary alone: with its proof, and without a patient's token or context"
            raise InvalidEventError("synthetic", problem, "CaseEvent")


_NOBODY = PatientContext()
