"""The inputs of the demo: every class on several skin tones, two emergencies, a broken file, and one case twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import takewhile
from typing import Any

from inference.findings import CLASSES
from inference.synthetic.generator import picture
from streams.client import NewCase

#: Light, medium and dark skin: redness looks different on each.
MONK_TONES = (2, 5, 9)
#: The contexts of the patients, used in turn.
CONTEXTS: tuple[dict[str, Any], ...] = (
    {"age": 85, "diabetes": True, "risk_score": 18, "anatomical_location": "sacrum"},
    {"age": 78, "braden_score": 11, "anatomical_location": "heel"},
    {"age": 66, "anticoagulants": True, "anatomical_location": "trochanter"},
    {"age": 91, "malnutrition": True, "albumin_g_dl": 2.9, "anatomical_location": "ischium"},
    {"age": 54, "immunosuppression": True, "infection_signs": ["purulent_exudate"], "anatomical_location": "elbow"},
    {"age": 72, "mobility": "bedridden", "compromised_circulation": True, "anatomical_location": "heel"},
)
PICTURE_SIDE = 640
#: Inputs beside the routine ones: a copy, a broken file, two emergencies.
SPECIAL = 4


class InputKind(StrEnum):
    """The kind of an input, on which its outcome depends."""

    CASE = "case"
    DUPLICATE = "duplicate"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedInput:
    """One input of the demo. `title` says what was drawn; the pipeline never sees it."""

    title: str
    kind: InputKind
    drawn: str | None
    emergency: bool
    case: NewCase


@contextmanager
def drawing(count: int, seed: int, now: datetime) -> Iterator[Callable[[], list[PlannedInput]]]:
    """Draw the inputs in a thread while services start; yields a function that waits for all of them.

    Leaving the block early ends the drawing at the next picture.
    """
    left = threading.Event()

    def draw() -> list[PlannedInput]:
        return list(takewhile(lambda _: not left.is_set(), plan(count, seed, now)))

    with ThreadPoolExecutor(1, thread_name_prefix="draw") as pool:
        try:
            yield pool.submit(draw).result
        finally:
            left.set()


def plan(count: int, seed: int, now: datetime, *, side: int = PICTURE_SIDE) -> Iterator[PlannedInput]:
    """The inputs in order: `count` routine cases, a copy, a broken file, then the emergencies, which overtake the rest.

    Pictures are drawn as the iterator advances, `side` pixels wide.
    """
    yield (again := _routine(0, seed, now, side))
    yield from (_routine(number, seed, now, side) for number in range(1, count))
    yield PlannedInput(
        title=f"{again.title}, again", kind=InputKind.DUPLICATE, drawn=again.drawn, emergency=False, case=again.case
    )
    yield PlannedInput(
        title="no picture",
        kind=InputKind.BROKEN,
        drawn=None,
        emergency=False,
        case=NewCase(
            image=b"%PDF-1.7 scanned by mistake",
            patient_code="CD-2025-900",
            captured_at=now - timedelta(minutes=4),
            accept_unreadable=True,
        ),
    )
    # In the predecessor's format.
    yield _emergency(
        "stage_4",
        seed + 1,
        side,
        now - timedelta(minutes=2),
        patient_code="EMERGENCY-2025-001",
        context={"age": 85, "diabetes": True, "risk_score": 18},
        processing_options={"analysis_type": "emergency"},
    )
    yield _emergency(
        "stage_3",
        seed + 2,
        side,
        now - timedelta(minutes=1),
        patient_code="CD-2025-902",
        context={"age": 69, "infection_signs": ["cellulitis", "fever"]},
        analysis_type="emergency",
    )


def _routine(number: int, seed: int, now: datetime, side: int) -> PlannedInput:
    stage = CLASSES[number % len(CLASSES)]
    monk = MONK_TONES[(number // len(CLASSES)) % len(MONK_TONES)]
    drawn = picture(seed, number, stage=stage, monk=monk, size=side)
    case = NewCase(
        image=drawn.jpeg(),
        patient_code=f"CD-2025-{number:03d}",
        context={**CONTEXTS[number % len(CONTEXTS)], "skin_tone_monk": monk},
        captured_at=now - timedelta(minutes=30, seconds=number),
    )
    return PlannedInput(title=f"{stage}, Monk {monk}", kind=InputKind.CASE, drawn=stage, emergency=False, case=case)


def _emergency(stage: str, seed: int, side: int, captured_at: datetime, **fields: Any) -> PlannedInput:
    image = picture(seed, 0, stage=stage, monk=5, size=side).jpeg()
    case = NewCase(image=image, captured_at=captured_at.astimezone(UTC), **fields)
    return PlannedInput(title=f"{stage}, emergency", kind=InputKind.CASE, drawn=stage, emergency=True, case=case)
