"""A person answers an escalation: who may, what it changes, and what it says about the model.

Judged by the state when the acknowledgement is processed, so that a replay judges alike: who is asked now must answer
now, also when a lower role answered a moment before the escalation was raised.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from schemas.events import AcknowledgementAction, AcknowledgementEvent, StageClass
from streams.clinical.escalations import OpenEscalation


class AckCode(StrEnum):
    """What became of an acknowledgement; the outcome code of its audit entry."""

    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    ALREADY_ACKNOWLEDGED = "already_acknowledged"
    UNKNOWN_ESCALATION = "unknown_escalation"
    OTHER_CASE = "other_case"
    ROLE_UNKNOWN = "role_unknown"
    ROLE_TOO_LOW = "role_too_low"
    NOT_IDENTIFIED = "not_identified"
    TIME_IMPOSSIBLE = "time_impossible"


#: How far the clock of whoever answers may be from ours. Machines kept by NTP differ by milliseconds, a tablet that is
#: set by hand by minutes; an answer "of 2020" is no clock that is wrong.
CLOCKS_DIFFER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class AckOutcome:
    """What an acknowledgement did.

    `state` is the next state, None when nothing is left to keep (resolved, or never known). `model_stage` and
    `true_stage` are set when a clinician's own staging can be compared with the model's.
    """

    code: AckCode
    state: OpenEscalation | None
    #: For people: why it was refused, or empty.
    refusal: str = ""
    #: Whether it came before the deadline then running; None when refused, or when none was running any more.
    in_time: bool | None = None
    model_stage: StageClass | None = None
    true_stage: StageClass | None = None

    @property
    def accepted(self) -> bool:
        """Whether the acknowledgement counts; a repeated one does."""
        return self.code in (AckCode.ACKNOWLEDGED, AckCode.RESOLVED, AckCode.ALREADY_ACKNOWLEDGED)


def on_acknowledgement(state: OpenEscalation | None, ack: AcknowledgementEvent, stamped: datetime) -> AckOutcome:
    """What an acknowledgement does to the escalation it names (`state`; None when no such escalation is open).

    `stamped` is the broker's time for it, by which it is in time or late, and from which the time to resolve runs. The
    time that it names itself only has to be possible.

    The role must be the one now asked, or stand above it on the ladder. `resolve` ends the escalation, whether or not
    it was acknowledged before.
    """
    if state is None:
        return AckOutcome(
            code=AckCode.UNKNOWN_ESCALATION,
            state=None,
            refusal="no such escalation is open: it was resolved or never raised",
        )
    if ack.case_id != state.event.case_id:
        return AckOutcome(code=AckCode.OTHER_CASE, state=state, refusal="the escalation belongs to another case")
    if ack.role not in state.ladder:
        return AckOutcome(
            code=AckCode.ROLE_UNKNOWN,
            state=state,
            refusal=f"only these roles may answer it: {', '.join(state.ladder)}",
        )
    required = state.event.role
    if state.ladder.index(ack.role) < state.ladder.index(required):
        return AckOutcome(
            code=AckCode.ROLE_TOO_LOW,
            state=state,
            refusal=f"it was raised to {required}, and {ack.role} stands below that role",
        )
    if ack.acknowledged_by is None:
        return AckOutcome(code=AckCode.NOT_IDENTIFIED, state=state, refusal="it does not say who answers")
    if not state.opened_at - CLOCKS_DIFFER <= ack.acknowledged_at <= stamped + CLOCKS_DIFFER:
        return AckOutcome(
            code=AckCode.TIME_IMPOSSIBLE,
            state=state,
            refusal="the time that it names is before its escalation or after its arrival: is that clock right?",
        )
    in_time = None if state.acknowledged else stamped <= state.event.respond_by
    if ack.action is AcknowledgementAction.RESOLVE:
        known = ack.resolved_stage is not None
        return AckOutcome(
            code=AckCode.RESOLVED,
            state=None,
            in_time=in_time,
            model_stage=state.event.stage if known else None,
            true_stage=ack.resolved_stage,
        )
    if state.acknowledged:
        return AckOutcome(code=AckCode.ALREADY_ACKNOWLEDGED, state=state)
    taken_up = replace(
        state,
        acknowledged_at=ack.acknowledged_at,
        acknowledged_role=ack.role,
        resolve_by=stamped + timedelta(seconds=state.resolve_within_s),
    )
    return AckOutcome(code=AckCode.ACKNOWLEDGED, state=taken_up, in_time=in_time)
