"""The clock of escalations: pure functions from a state and an event to the next state and what to publish.

Time and ids are handed in. Nothing here reads a wall clock, so a day passes in a test in a millisecond, and a replay
decides what was decided before. Every function may be called again with the same input and then changes nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from schemas.events import (
    EscalationEvent,
    EscalationRequest,
    GradingEvent,
    Reason,
    ReviewPriority,
    Text,
)
from schemas.events.carried import carried, decided
from streams.clinical.escalations import RESOLVE_WITHIN_S, OpenEscalation

#: Names the event that raises an escalation to a level: `schemas.ids.escalation_event_id`. Ids are handed in like time.
EventId = Callable[[UUID, int], UUID]

#: How far a tick may be ahead of the time at which the broker took it. Machines kept by NTP differ by milliseconds; a
#: tick from next year, believed once, would make every deadline wait for next year.
MAX_TICK_LEAD = timedelta(seconds=30)

_PRESSING: Mapping[ReviewPriority, int] = {
    ReviewPriority.EMERGENCY: 0,
    ReviewPriority.URGENT: 1,
    ReviewPriority.HIGH: 2,
    ReviewPriority.MEDIUM: 3,
    ReviewPriority.LOW: 4,
}


def advance(seen: datetime | None, tick: datetime, stamped: datetime) -> datetime:
    """The time after a tick: never before what was `seen`, never far ahead of `stamped`, the broker's time for it."""
    believed = min(tick, stamped + MAX_TICK_LEAD)
    return believed if seen is None else max(seen, believed)


def open_escalation(
    request: EscalationRequest,
    grading: GradingEvent,
    *,
    escalation_id: UUID,
    event_id: EventId,
    ladder: tuple[str, ...],
    disclaimer: Text,
    raised_at: datetime,
) -> OpenEscalation:
    """The escalation that a grading asks for, at level 0; publish its `event`.

    `ladder` is that of the escalation's type in the policy; the time to answer runs from `raised_at`.
    """
    reasons = {reason.code: reason for reason in grading.reasons}
    event = EscalationEvent(
        event_id=event_id(escalation_id, 0),
        escalation_id=escalation_id,
        source_event_id=grading.event_id,
        type=request.type,
        level=0,
        role=ladder[0],
        roles=request.roles,
        channels=request.channels,
        review_priority=request.review_priority,
        raised_at=raised_at,
        respond_by=raised_at + timedelta(seconds=request.respond_within_s),
        model_version=grading.model_version,
        reasons=tuple(reasons[code] for code in request.reasons if code in reasons),
        disclaimer=disclaimer,
        **carried(grading),
        **decided(grading),
    )
    return OpenEscalation(
        event=event,
        ladder=ladder,
        reescalate_every_s=request.reescalate_every_s,
        opened_at=raised_at,
        resolve_within_s=request.resolve_within_s or RESOLVE_WITHIN_S,
    )


def due(state: OpenEscalation, now: datetime) -> bool:
    """Whether a deadline has passed: to answer, or, where somebody took the escalation up, to resolve it."""
    deadline = state.next_due
    return deadline is not None and deadline <= now


def on_tick(
    state: OpenEscalation, now: datetime, *, event_id: EventId, unresolved: Reason
) -> tuple[OpenEscalation, tuple[EscalationEvent, ...]]:
    """Raise the escalation if it is due: the next state, and the event to publish (or none).

    However long everything was down, it is raised once, and the next role has its whole time from `now`. At the top of
    the ladder the level goes on counting, and the same role is asked again. One that was taken up and not resolved is
    asked of the role above whoever took it up, for the reason `unresolved`, and from then on at the interval that they
    had to resolve it.
    """
    if not due(state, now):
        return state, ()
    level, every_s, reasons = state.event.level + 1, state.reescalate_every_s, state.event.reasons
    if state.acknowledged:
        if state.acknowledged_role in state.ladder:
            level = max(level, state.ladder.index(state.acknowledged_role) + 1)
        every_s = state.resolve_within_s
        if unresolved not in reasons:
            reasons = (*reasons, unresolved)
    event = replace(
        state.event,
        event_id=event_id(state.escalation_id, level),
        level=level,
        role=_role(state.ladder, level),
        raised_at=now,
        respond_by=now + timedelta(seconds=every_s),
        reasons=reasons,
    )
    raised = replace(
        state,
        event=event,
        reescalate_every_s=every_s,
        acknowledged_at=None,
        acknowledged_role=None,
        resolve_by=None,
    )
    return raised, (event,)


def _role(ladder: tuple[str, ...], level: int) -> str:
    return ladder[min(level, len(ladder) - 1)]


class MergeCode(StrEnum):
    """What became of an escalation that another grading of the same case asked for."""

    OPENED = "opened"
    MERGED = "merged"
    SUPERSEDED = "superseded"


def merge(
    standing: OpenEscalation | None, new: OpenEscalation, *, event_id: EventId
) -> tuple[MergeCode, OpenEscalation]:
    """Which of two demands for the same case and type stays open; publish the result's `event` unless it is MERGED.

    The new one is SUPERSEDED over the standing one when it is more pressing, in its priority or its deadline; it then
    keeps the earlier deadline, the shorter interval and the rung already reached. Otherwise the standing one stays as
    it is (MERGED). An acknowledged one stays too, unless the new one has a more pressing priority.
    """
    if standing is None:
        return MergeCode.OPENED, new
    if standing.escalation_id == new.escalation_id:
        return MergeCode.MERGED, standing
    pressing = _PRESSING[new.event.review_priority] < _PRESSING[standing.event.review_priority]
    if standing.acknowledged:
        return (MergeCode.SUPERSEDED, new) if pressing else (MergeCode.MERGED, standing)
    if not pressing and new.event.respond_by >= standing.event.respond_by:
        return MergeCode.MERGED, standing
    level = standing.event.level
    event = replace(
        new.event,
        event_id=event_id(new.escalation_id, level),
        level=level,
        role=_role(new.ladder, level),
        respond_by=min(new.event.respond_by, standing.event.respond_by),
    )
    every = min(new.reescalate_every_s, standing.reescalate_every_s)
    within = min(new.resolve_within_s, standing.resolve_within_s)
    return MergeCode.SUPERSEDED, replace(new, event=event, reescalate_every_s=every, resolve_within_s=within)
