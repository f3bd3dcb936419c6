"""Whatever happens in whatever order, no alarm is forgotten and none sounds twice.

The machine plays the escalation stage of one partition: it keeps states, hands them events, and now and then dies and
reads its states back. A plain model beside it says what must have been published.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from schemas import ids
from schemas.events import EscalationEvent, StageClass
from streams.clinical.acknowledgements import AckCode
from streams.clinical.clock import MergeCode, advance, due, merge, on_tick
from streams.clinical.decision import Decision
from streams.clinical.escalations import OpenEscalation
from tests.unit.clinical.cases import decision
from tests.unit.clinical.escalations import LADDER, START, UNRESOLVED, answer, grading, judged, open_request

DECISIONS: tuple[Decision, ...] = (
    decision("stage_1", 0.65),
    decision("stage_2", 0.9, {"diabetes": True}),
    decision("unstageable", 0.9),
    decision("stage_3", 0.9),
    decision("stage_4", 0.9, {"braden_score": 9}),
)
CASES = 3
seconds = st.integers(0, 6 * 3600)


class Clock(RuleBasedStateMachine):
    """One partition; `now` is the true time, which the ticks follow more or less."""

    @initialize()
    def begin(self) -> None:
        self.now = START
        self.seen: datetime | None = None
        self.states: dict[tuple[object, object], OpenEscalation] = {}
        self.published: list[EscalationEvent] = []
        self.number = 0

    @rule(case=st.integers(0, CASES - 1), made=st.sampled_from(DECISIONS), again=st.booleans())
    def a_case_is_graded(self, case: int, made: Decision, again: bool) -> None:
        """`again`: the same grading is delivered twice."""
        self.number += 1
        graded = grading(made, self.number, case)
        for request in graded.escalations * (2 if again else 1):
            new = open_request(request, graded, self.now)
            key = new.event.case_id, new.event.type
            standing = self.states.get(key)
            code, state = merge(standing, new, event_id=ids.escalation_event_id)
            if code is not MergeCode.MERGED:
                self.published.append(state.event)
            if standing is not None and not standing.acknowledged:
                assert state.event.respond_by <= standing.event.respond_by
                assert state.reescalate_every_s <= standing.reescalate_every_s
                assert LADDER.index(state.event.role) >= LADDER.index(standing.event.role)
            self.states[key] = state

    @rule(step=seconds)
    def time_passes(self, step: int) -> None:
        self.now += timedelta(seconds=step)

    @rule(skew=st.integers(-300, 30), repeat=st.integers(1, 3))
    def a_tick_comes(self, skew: int, repeat: int) -> None:
        """From a machine whose clock is a little wrong, and perhaps more than once."""
        self.seen = advance(self.seen, self.now + timedelta(seconds=skew), self.now)
        for _ in range(repeat):
            before = dict(self.states)
            for state in [state for state in before.values() if due(state, self.seen)]:
                after, events = on_tick(state, self.seen, event_id=ids.escalation_event_id, unresolved=UNRESOLVED)
                assert len(events) == 1
                taker = state.acknowledged_role
                assert state.next_due is not None
                assert state.next_due <= self.seen
                every = state.reescalate_every_s if taker is None else state.resolve_within_s
                above = 0 if taker is None else LADDER.index(taker) + 1
                assert events[0].level == max(state.event.level + 1, above)
                assert (UNRESOLVED in events[0].reasons) >= (taker is not None)
                assert events[0].respond_by == self.seen + timedelta(seconds=every)
                assert not after.acknowledged
                assert LADDER.index(events[0].role) == min(events[0].level, len(LADDER) - 1)
                self.published += events
                self.states[state.event.case_id, state.event.type] = after
            assert not any(due(state, self.seen) for state in self.states.values())

    @precondition(lambda self: self.states)
    @rule(data=st.data(), role=st.sampled_from((*LADDER, "janitor")), resolve=st.booleans())
    def a_person_answers(self, data: st.DataObject, role: str, resolve: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.states, key=str)))
        state = self.states[key]
        action = "resolve" if resolve else "acknowledge"
        stage = StageClass.STAGE_2 if resolve else None
        outcome = judged(state, answer(state, role, at=self.now, action=action, stage=stage))
        may = role in LADDER and LADDER.index(role) >= LADDER.index(state.event.role)
        assert outcome.accepted is may
        if not may:
            assert outcome.state == state
        elif resolve:
            assert outcome.code is AckCode.RESOLVED
            del self.states[key]
        else:
            assert outcome.state is not None
            within = timedelta(seconds=state.resolve_within_s)
            assert outcome.state.next_due == (state.resolve_by if state.acknowledged else self.now + within)
            self.states[key] = outcome.state

    @rule()
    def the_process_dies_and_reads_its_states_back(self) -> None:
        self.states = {key: OpenEscalation.from_json(state.to_json()) for key, state in self.states.items()}

    @invariant()
    def nothing_is_published_twice(self) -> None:
        published = [event.event_id for event in getattr(self, "published", ())]
        assert len(set(published)) == len(published)

    @invariant()
    def nobody_is_forgotten(self) -> None:
        for state in getattr(self, "states", {}).values():
            assert state.next_due is not None

    @invariant()
    def the_levels_of_an_escalation_only_rise(self) -> None:
        levels: dict[object, list[int]] = {}
        for event in getattr(self, "published", ()):
            levels.setdefault(event.escalation_id, []).append(event.level)
        for climbed in levels.values():
            assert all(before < after for before, after in pairwise(climbed))

    @invariant()
    def what_stands_open_is_what_was_published_last(self) -> None:
        last = {event.escalation_id: event for event in getattr(self, "published", ())}
        for state in getattr(self, "states", {}).values():
            assert last[state.escalation_id] == state.event


Clock.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestClock = Clock.TestCase
