"""When a tick is worth sending, decided on values; the producer is a real one, whose broker does not answer."""

from __future__ import annotations

from datetime import datetime, timedelta

from ops.embedded.ports import free_ports
from schemas import binary
from schemas.record import Record
from streams.clinical.escalations import OpenEscalation
from streams.stages.escalation.state import EscalationState
from streams.stages.escalation.ticker import PATIENCE, Ticker
from tests.unit.clinical.escalations import START, opened


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class LocalEncoder:
    """Our own encoding without a registry."""

    def encode(self, event: Record, topic: str) -> bytes:
        return binary.write(event, b"\0" + b"\0\0\0\1")


def watching(*escalations: OpenEscalation) -> tuple[Ticker, Clock, EscalationState]:
    clock, state = Clock(), EscalationState()
    ticker = Ticker(f"127.0.0.1:{free_ports(1)[0]}", LocalEncoder(), clock)
    for escalation in escalations:
        state.put(escalation, "0" * 64)
    ticker.watch({2: state, 3: EscalationState()})
    return ticker, clock, state


def test_only_a_partition_where_a_deadline_has_passed_gets_a_tick() -> None:
    ticker, clock, _ = watching(opened())
    assert ticker.look() == []
    clock.now = opened().event.respond_by - timedelta(microseconds=1)
    assert ticker.look() == []
    clock.now = opened().event.respond_by
    assert ticker.look() == [2]


def test_a_tick_on_its_way_is_waited_for_and_then_sent_again() -> None:
    ticker, clock, _ = watching(opened())
    clock.now = opened().event.respond_by
    assert ticker.look() == [2]
    assert ticker.look() == []
    clock.now += PATIENCE
    assert ticker.look() == [2], "a tick that was lost would be the last one"


def test_when_a_tick_was_taken_up_and_something_is_still_due_the_next_follows_at_once() -> None:
    ticker, clock, state = watching(*(opened(case=case) for case in range(3)))
    clock.now = opened().event.respond_by
    assert ticker.look() == [2]
    state.now = clock.now
    assert ticker.look() == [2]


def test_a_partition_that_went_is_not_watched_any_more() -> None:
    ticker, clock, _ = watching(opened())
    clock.now = opened().event.respond_by
    ticker.watch({})
    assert ticker.look() == []
