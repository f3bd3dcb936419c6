"""From what a camera, tablet or bot has in hand to a case event: everything but Kafka."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from schemas import ids
from schemas.canary import canary_proof
from schemas.events import CaseEvent, Lane, PatientContext
from schemas.events.content import context_digest
from streams.client.errors import InvalidCaseError
from streams.client.tokens import Tokeniser
from streams.clinical.context import ContextError, read_context
from streams.clinical.times import OLDEST
from streams.images import metadata as image_metadata
from streams.images.store import MAX_IMAGE_BYTES, ImageStore
from streams.settings import Settings

#: A capture time may lie so far ahead of our clock: tablets and servers are rarely better synchronised without care.
#: More is a wrong clock or a wrong time zone, and would start the deadlines of an emergency late.
CLOCK_TOLERANCE = timedelta(minutes=5)

#: Cameras whose clock was never set say 1970, 1980 or 2000.
EARLIEST_CAMERA_TIME = datetime(2001, 1, 1, tzinfo=UTC)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCase:
    """What is published as one case. Its text form shows nothing of the patient."""

    #: A file, or its bytes. JPEG, PNG or WebP.
    image: Path | bytes = field(repr=False)
    #: The hospital's code, or None for a patient not yet identified (the case then also goes to a human).
    patient_code: str | None = field(repr=False)
    #: As the clinical context is written: `{"age": 85, "diabetes": True}`.
    context: Mapping[str, object] = field(default_factory=dict, repr=False)
    #: `emergency` or `routine`; None: what `processing_options` say, else routine.
    analysis_type: str | None = None
    #: The predecessor's options; `analysis_type` is the one that is known.
    processing_options: Mapping[str, object] = field(default_factory=dict)
    #: When the picture was taken, with a time zone; None: see `capture_time`.
    captured_at: datetime | None = None
    #: A canary: goes the whole way, but means nobody.
    synthetic: bool = False
    #: Publish a file that is no picture too, so that a human is asked about it; only its hash and size are stored.
    accept_unreadable: bool = False


class CaseBuilder:
    """Makes case events: stores the picture, replaces the code by its token, checks the context, derives the ids."""

    def __init__(self, settings: Settings, *, name: str) -> None:
        """`name` is that of the publishing system. Raises TokenKeyMissingError where no key is configured."""
        self._tokens = Tokeniser.from_settings(settings)
        self._images = ImageStore.from_settings(settings)
        self._canary_key = settings.canary_key
        self._name = name

    def build(self, case: NewCase) -> CaseEvent:
        """Check first, store then. The same picture, patient and time give the same ids.

        Raises InvalidCaseError (naming the field), PatientCodeError, ImageError, StoreUnavailableError.
        """
        now = datetime.now(UTC)
        lane = lane_of(case)
        token = None if case.patient_code is None else self._tokens.token(case.patient_code)
        context = _context(case.context)
        data = _read(case.image)
        captured_at = capture_time(case, data, now)
        image = self._images.put(data, accept_unreadable=case.accept_unreadable)
        case_id = ids.case_id(token, image.sha256, captured_at)
        return CaseEvent(
            event_id=ids.case_event_id(case_id, lane, context_digest(context)),
            case_id=case_id,
            lane=lane,
            captured_at=captured_at,
            published_at=now,
            patient_token=token,
            image=image,
            context=context,
            producer=self._name,
            synthetic=case.synthetic,
            proof=self._proof(case_id) if case.synthetic else None,
        )

    def _proof(self, case_id: UUID) -> str:
        if self._canary_key is None:
            raise InvalidCaseError("synthetic: for the canary alone, which has VIGIA_CANARY_KEY_FILE")
        return canary_proof(self._canary_key, case_id)


def lane_of(case: NewCase) -> Lane:
    """The lane that the caller asks for. Raises InvalidCaseError for an option that is unknown or contradicts."""
    if unknown := sorted(str(name) for name in case.processing_options if name != "analysis_type"):
        raise InvalidCaseError(f"processing_options: unknown option {unknown[0]} (known: analysis_type)")
    asked = {
        str(value) for value in (case.analysis_type, case.processing_options.get("analysis_type")) if value is not None
    }
    if len(asked) > 1:
        raise InvalidCaseError("analysis_type: the argument and the processing option differ")
    for lane in (Lane.EMERGENCY, Lane.ROUTINE):
        if asked <= {lane.value} and (asked or lane is Lane.ROUTINE):
            return lane
    raise InvalidCaseError("analysis_type: must be emergency or routine")


def capture_time(case: NewCase, data: bytes, now: datetime) -> datetime:
    """When the picture was taken, so that publishing the same file again gives the same time, and so the same case.

    The first that is known: what the caller says; what the camera wrote, if it wrote its offset from UTC too and the
    time is plausible; when the file was last changed. Never the present time: each attempt would be a new case, and of
    bytes without any of these the caller must say it. Raises InvalidCaseError.
    """
    if case.captured_at is not None:
        if case.captured_at.utcoffset() is None:
            raise InvalidCaseError("captured_at: must have a time zone, such as 2025-11-24T09:30:00-03:00")
        taken = case.captured_at.astimezone(UTC)
    else:
        written = image_metadata.capture_time(data)
        if written is not None and EARLIEST_CAMERA_TIME <= written <= now + CLOCK_TOLERANCE:
            taken = written
        elif isinstance(case.image, bytes):
            raise InvalidCaseError("captured_at: neither given nor in the picture (EXIF time with its offset from UTC)")
        else:
            taken = _EPOCH + timedelta(microseconds=_stat(case.image).st_mtime_ns // 1000)
    if taken > now + CLOCK_TOLERANCE:
        raise InvalidCaseError("captured_at: lies in the future")
    if taken < now - OLDEST:
        raise InvalidCaseError(
            f"captured_at: lies more than {OLDEST.days} days back: is the clock right? If so, no case is opened for it"
        )
    return taken


def _context(values: Mapping[str, object]) -> PatientContext:
    try:
        return read_context(values)
    except ContextError as error:
        raise InvalidCaseError(str(error)) from None


def _read(image: Path | bytes) -> bytes:
    if isinstance(image, bytes):
        return image
    try:
        with image.open("rb") as file:
            # One byte too many is enough for the store to refuse it.
            return file.read(MAX_IMAGE_BYTES + 1)
    except OSError as error:
        raise InvalidCaseError(f"image: the file cannot be read: {error.strerror}") from None


def _stat(image: Path) -> os.stat_result:
    try:
        return image.stat()
    except OSError as error:
        raise InvalidCaseError(f"image: the file cannot be read: {error.strerror}") from None
