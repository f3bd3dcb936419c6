"""The story of a case as `vigia case show` tells it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from ops.commands.case import _revisions, _told
from schemas.events import Lane, PatientContext
from streams.audit.trail import Trail
from streams.broker.received import ReceivedEvent
from tests.unit.schemas.samples import CASE_EVENT, GRADING_EVENT, INFERENCE_EVENT

EMPTY = Trail(entries=(), erased_at=None)


def received(event: Any) -> ReceivedEvent:
    return ReceivedEvent(
        topic="t", partition=0, offset=0, key=b"", headers=(), timestamp=None, value=b"", decoded=event, error=None
    )


def of_revision(number: int, context: PatientContext) -> list[ReceivedEvent]:
    ids = [UUID(int=10 * number + at) for at in range(3)]
    return [
        received(replace(CASE_EVENT, event_id=ids[0], context=context)),
        received(replace(INFERENCE_EVENT, event_id=ids[1], source_event_id=ids[0], context=context)),
        received(replace(GRADING_EVENT, event_id=ids[2], source_event_id=ids[1])),
    ]


def headings(events: list[ReceivedEvent]) -> list[str]:
    revisions = _revisions(events)
    return [next(_told(each, EMPTY, ("en",), revisions)) for each in events]


def test_a_corrected_context_and_what_followed_from_it_are_numbered() -> None:
    events = [*of_revision(1, PatientContext(age=70)), *of_revision(2, PatientContext(age=70, necrosis=True))]
    told = headings(events)
    assert [line.partition(", revision ")[2][:1] for line in told] == ["1", "1", "1", "2", "2", "2"]


def test_a_case_that_nobody_corrected_has_no_revisions() -> None:
    events = of_revision(1, PatientContext())
    again = replace(CASE_EVENT, event_id=UUID(int=20), lane=Lane.ROUTINE, context=PatientContext())
    assert not [line for line in headings([*events, received(again)]) if "revision" in line]
