"""The escalation stage on values: gradings, answers and ticks joined in one state per partition, without a broker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from ops.embedded.ports import free_ports
from schemas import binary
from schemas.envelope.audit import sha256_hex
from schemas.envelope.partitioner import partition_of
from schemas.envelope.raw import RawRecord
from schemas.events import (
    AcknowledgementEvent,
    EscalationEvent,
    EscalationType,
    GradingEvent,
    GradingKind,
    ReviewPriority,
    StageClass,
    TickEvent,
)
from schemas.record import Record
from schemas.serde import Serde
from streams import topics
from streams.clinical.decision import Decision
from streams.clinical.escalations import OpenEscalation
from streams.runtime.encoding import ResultEncoder
from streams.runtime.records import Input, InputProblem, Result
from streams.stages.escalation.stage import MAX_RAISED, EscalationStage, Joined
from streams.stages.escalation.state import EscalationState
from streams.stages.escalation.ticker import Ticker
from streams.stages.grading.quarantine import Quarantine
from streams.stages.policy.file import packaged_policy
from tests.unit.clinical.cases import decision
from tests.unit.clinical.escalations import LADDER, START, answer, grading

NOWHERE = f"127.0.0.1:{free_ports(1)[0]}"
TOPIC = {GradingEvent: topics.GRADINGS, AcknowledgementEvent: topics.ACKNOWLEDGEMENTS, TickEvent: topics.TICKS}


class LocalEncoder:
    """Our own encoding without a registry: the id of the schema is nobody's."""

    def encode(self, event: Record, topic: str) -> bytes:
        return binary.write(event, b"\0" + b"\0\0\0\1")


class Desk:
    """One partition of the stage; applies nothing by itself, as the runtime does not either."""

    def __init__(self) -> None:
        policy = packaged_policy()
        ticker = Ticker(NOWHERE, Serde(f"http://{NOWHERE}"))
        self.stage = EscalationStage(policy, Quarantine(policy), LocalEncoder(), ticker)
        self.stage.partition_count = 1
        self.state = self.stage.new_state(0)
        self.log: dict[bytes, bytes | None] = {}
        self._offset = 0

    def take(self, event: Joined, *, at: datetime | None = None, partition: int = 0) -> Result:
        """What the stage makes of an event that the broker stamped at `at` (the event's own time by default)."""
        stamp = at or getattr(event, "now", None) or START
        raw = RawRecord(
            topic=TOPIC[type(event)],
            partition=partition,
            offset=self._offset,
            timestamp_ms=int(stamp.timestamp() * 1000),
            key=None,
            value=b"value",
        )
        self._offset += 1
        record = Input(raw=raw, event=event, hash=sha256_hex(b"value"), state=self.state)
        (result,) = asyncio.run(self.stage.handle_batch([record]))
        assert result.problem is None, result.problem
        self.log |= {change.key: change.value for change in result.state}
        return result

    def tick(self, now: datetime) -> Result:
        return self.take(TickEvent(now=now))

    def restored(self) -> EscalationState:
        """The state as the next owner of the partition reads it."""
        state = self.stage.new_state(0)
        for key, value in self.log.items():
            if value is not None:
                state.restore(key[1:], value)
        return state


def published(result: Result) -> list[EscalationEvent]:
    events = [output.event for output in result.outputs]
    assert all(isinstance(event, EscalationEvent) for event in events)
    return events  # type: ignore[return-value]


def outcomes(result: Result) -> list[str]:
    return [output.outcome for output in result.outputs] + [note.outcome for note in result.notes]


def only(graded: GradingEvent, kind: EscalationType) -> GradingEvent:
    """The grading with one of its requests."""
    return replace(graded, escalations=tuple(each for each in graded.escalations if each.type is kind))


def one(made: Decision | None = None, kind: EscalationType = EscalationType.HUMAN_REVIEW, **more: int) -> GradingEvent:
    return only(grading(made or decision("stage_3"), **more), kind)


def open_in(desk: Desk, raised: EscalationEvent) -> OpenEscalation:
    tracked = desk.state.get(raised.escalation_id)
    assert tracked is not None
    return tracked.escalation


def opened_in(desk: Desk) -> OpenEscalation:
    (raised,) = published(desk.take(one()))
    return open_in(desk, raised)


def test_each_request_of_a_grading_becomes_an_escalation_on_its_own_topic_with_its_audit() -> None:
    desk = Desk()
    graded = grading(decision("stage_4"))
    result = desk.take(graded)
    assert [event.type for event in published(result)] == [request.type for request in graded.escalations]
    for output, event in zip(result.outputs, published(result), strict=True):
        assert output.topic == topics.ESCALATIONS[event.type]
        assert output.outcome == f"escalated:{event.type.value}:0"
        assert output.parent_hash == sha256_hex(b"value")
        assert output.value == LocalEncoder().encode(event, output.topic), "its hash would not be that of the record"
        assert event.role == LADDER[0] or event.type is EscalationType.SYSTEM_ERROR
    assert len(desk.state) == len(graded.escalations)


def test_the_same_grading_again_publishes_nothing_whether_open_or_closed() -> None:
    desk = Desk()
    graded = one()
    (raised,) = published(desk.take(graded))
    assert desk.take(graded) == Result()
    desk.take(answer(open_in(desk, raised), LADDER[0], action="resolve"))
    assert len(desk.state) == 0
    assert desk.take(graded) == Result(), "what people had dealt with was asked again"


def test_a_second_demand_of_the_same_kind_is_merged_and_answered_with_the_first() -> None:
    desk = Desk()
    first, second = one(number=0), one(number=1)
    (raised,) = published(desk.take(first))
    merged = desk.take(second)
    assert (published(merged), outcomes(merged)) == ([], ["merged:human_review"])
    assert merged.notes[0].attributes["escalation_id"] == str(raised.escalation_id)
    assert len(desk.state) == 1
    desk.take(answer(open_in(desk, raised), LADDER[0], action="resolve"))
    assert desk.take(second) == Result()


def test_a_more_pressing_demand_takes_the_place_of_the_open_one() -> None:
    desk = Desk()
    mild = one()
    (request,) = mild.escalations
    (before,) = published(desk.take(mild))
    pressing = replace(request, review_priority=ReviewPriority.EMERGENCY, respond_within_s=60)
    result = desk.take(replace(one(number=1), escalations=(pressing,)))
    (after,) = published(result)
    assert result.outputs[0].outcome == "superseded:human_review:0"
    assert after.respond_by < before.respond_by
    assert desk.state.get(before.escalation_id) is None
    assert desk.restored().get(before.escalation_id) is None
    assert desk.restored().get(after.escalation_id) is not None
    assert desk.restored().was_closed(before.escalation_id)


def test_a_missed_deadline_raises_one_level_and_no_second_tick_raises_it_again() -> None:
    desk = Desk()
    (raised,) = published(desk.take(one()))
    assert desk.tick(raised.respond_by - timedelta(seconds=1)) == Result()
    result = desk.tick(raised.respond_by)
    (again,) = published(result)
    assert (again.level, again.role, again.escalation_id) == (1, LADDER[1], raised.escalation_id)
    assert outcomes(result) == ["deadline_missed:human_review:1"]
    first = desk.log[b"s" + raised.escalation_id.bytes]
    assert first is not None
    assert result.outputs[0].parent_hash is not None
    assert desk.tick(raised.respond_by) == Result()
    assert desk.tick(raised.respond_by - timedelta(hours=1)) == Result(), "time went back"


def test_one_tick_raises_a_bounded_number_and_the_next_one_the_rest() -> None:
    desk = Desk()
    for case in range(MAX_RAISED + 3):
        desk.take(one(case=case))
    late = START + timedelta(days=30)
    assert len(published(desk.tick(late))) == MAX_RAISED
    assert len(published(desk.tick(late))) == 3
    assert desk.tick(late) == Result()


def test_an_answer_stops_the_clock_and_is_audited_with_the_record_that_it_answers() -> None:
    desk = Desk()
    asked = desk.take(one())
    (raised,) = published(asked)
    ack = answer(open_in(desk, raised), LADDER[0])
    result = desk.take(ack)
    (note,) = result.notes
    assert (note.outcome, note.event_id, note.topic) == ("acknowledged", ack.event_id, topics.ACKNOWLEDGEMENTS)
    assert note.parent_hash == sha256_hex(asked.outputs[0].value)
    assert note.attributes["in_time"] == "True"
    assert desk.tick(raised.respond_by + timedelta(minutes=1)).outputs == ()
    kept = desk.restored().get(raised.escalation_id)
    assert kept is not None
    assert kept.escalation.acknowledged_role == LADDER[0]


def test_a_resolution_with_a_staging_compares_it_with_the_models_and_closes() -> None:
    desk = Desk()
    (raised,) = published(desk.take(one()))
    result = desk.take(answer(open_in(desk, raised), LADDER[3], action="resolve", stage=StageClass.STAGE_2))
    (note,) = result.notes
    assert note.outcome == "resolved"
    assert (note.attributes["model_stage"], note.attributes["true_stage"]) == ("stage_3", "stage_2")
    assert note.attributes["agreement"] == "over_staging"
    assert len(desk.state) == 0
    assert desk.restored().was_closed(raised.escalation_id)


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"escalation_id": uuid4()}, "unknown_escalation"),
        ({"case_id": uuid4()}, "other_case"),
        ({"role": "porter"}, "role_unknown"),
        ({"acknowledged_by": None}, "not_identified"),
        ({"acknowledged_at": datetime(2020, 1, 1, tzinfo=UTC)}, "time_impossible"),
    ],
)
def test_an_answer_that_does_not_count_is_audited_under_an_id_of_its_own_and_the_clock_runs_on(
    change: dict[str, object], outcome: str
) -> None:
    desk = Desk()
    (raised,) = published(desk.take(one()))
    ack = replace(answer(open_in(desk, raised), LADDER[0]), **change)  # type: ignore[arg-type]
    (note,) = desk.take(ack).notes
    assert note.outcome == outcome
    assert note.event_id != ack.event_id, "it would overwrite the entry of the answer that counts"
    assert note.attributes["ack_event_id"] == str(ack.event_id)
    assert len(published(desk.tick(raised.respond_by))) == 1


def test_an_answer_on_another_partition_is_forwarded_with_the_key_of_its_case() -> None:
    desk = Desk()
    desk.stage.partition_count = 4
    ack = answer(opened_in(desk), LADDER[0])
    home = partition_of(str(ack.case_id).encode(), 4)
    result = desk.take(ack, partition=(home + 1) % 4)
    assert result.forward is not None
    assert (result.forward.topic, result.forward.key) == (topics.ACKNOWLEDGEMENTS, str(ack.case_id).encode())
    assert (result.notes, result.state) == ((), ())


def test_an_answer_that_was_forwarded_and_is_misplaced_again_goes_to_people_instead_of_in_a_circle() -> None:
    desk = Desk()
    desk.stage.partition_count = 4
    ack = answer(opened_in(desk), LADDER[0])
    home = partition_of(str(ack.case_id).encode(), 4)
    first = RawRecord(topic=topics.ACKNOWLEDGEMENTS, partition=0, offset=1, timestamp_ms=1, key=None, value=b"value")
    forward = desk.take(ack, partition=(home + 1) % 4)
    (sent,) = ResultEncoder(LocalEncoder(), desk.stage.state_topic).records(first, sha256_hex(b"value"), forward)
    raw = replace(first, partition=(home + 1) % 4, key=sent.key, headers=sent.headers)
    record = Input(raw=raw, event=ack, hash=sha256_hex(b"value"), state=desk.state)
    (result,) = asyncio.run(desk.stage.handle_batch([record]))
    assert result.forward is None
    assert result.problem is not None
    assert result.problem.reason == "misplaced"


def test_a_canary_is_published_and_asks_nobody() -> None:
    desk = Desk()
    result = desk.take(replace(one(), synthetic=True))
    assert len(published(result)) == 1
    assert result.state == ()
    assert len(desk.state) == 0


def test_what_was_taken_up_and_not_resolved_is_asked_of_the_role_above_and_audited_as_such() -> None:
    desk = Desk()
    escalation = opened_in(desk)
    (note,) = desk.take(answer(escalation, LADDER[1]), at=START).notes
    by = START + timedelta(seconds=escalation.resolve_within_s)
    assert (note.attributes["level"], note.attributes["resolve_by"]) == ("0", by.isoformat(timespec="milliseconds"))
    assert desk.restored().first_due() == by
    result = desk.tick(by)
    assert outcomes(result) == ["unresolved:human_review:2"]
    (event,) = published(result)
    assert event.role == LADDER[2]
    assert desk.tick(by) == Result()
    assert len(desk.restored()) == 1


@pytest.mark.parametrize(
    ("event", "asks"),
    [
        (one(), True),
        (None, True),
        (TickEvent(now=START), True),
        # A request of ours that cannot be processed must not ask for itself, for ever.
        (replace(one(), kind=GradingKind.QUARANTINE), False),
    ],
)
def test_people_are_asked_about_what_cannot_be_processed(event: Joined | None, asks: bool) -> None:
    raw = RawRecord(topic=topics.GRADINGS, partition=0, offset=1, timestamp_ms=0, key=None, value=b"x")
    problem = InputProblem(reason="stage_failed", detail="ValueError")
    outputs: Sequence[object] = Desk().stage.on_problem(raw, event, problem).outputs
    assert bool(outputs) is asks
