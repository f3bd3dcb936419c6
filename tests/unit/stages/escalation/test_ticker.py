"""When a tick is worth sending, decided on values; the producer is a real one, whose broker does not answer."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from ops.embedded.ports import free_ports
from schemas import binary
from schemas.errors import RegistryUnavailableError
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


class AwayAtFirst(LocalEncoder):
    """A registry that does not answer the first time."""

    asked = 0

    def encode(self, event: Record, topic: str) -> bytes:
        self.asked += 1
        if self.asked == 1:
            raise RegistryUnavailableError("away")
        return super().encode(event, topic)


class Passing:
    """Seconds that a test lets pass."""

    s = 0.0

    def __call__(self) -> float:
        return self.s


def watching(
    *escalations: OpenEscalation, encoder: LocalEncoder | None = None, passing: Passing | None = None
) -> tuple[Ticker, Clock, EscalationState]:
    clock, state = Clock(), EscalationState()
    nowhere = f"127.0.0.1:{free_ports(1)[0]}"
    ticker = Ticker(nowhere, encoder or LocalEncoder(), clock, monotonic=passing or Passing())
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


def test_an_error_that_it_did_not_foresee_is_not_the_end_of_all_deadlines() -> None:
    encoder = AwayAtFirst()
    ticker, clock, _ = watching(opened(), encoder=encoder)
    clock.now = opened().event.respond_by

    async def until_it_looked_again() -> None:
        ticker.start()
        async with asyncio.timeout(60):
            while encoder.asked < 2:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.01)
        await ticker.stop()

    asyncio.run(until_it_looked_again())


def test_it_stands_still_where_it_cannot_look_at_the_deadlines() -> None:
    passing = Passing()
    ticker, _, _ = watching(passing=passing)

    async def look() -> None:
        ticker.start()
        passing.s = 40
        assert ticker.still_s() == 40
        ticker.look()
        assert ticker.still_s() == 0
        await ticker.stop()
        passing.s = 80
        assert ticker.still_s() == 0, "a ticker that was stopped has nothing to do"

    asyncio.run(look())


def test_it_stands_still_while_no_tick_is_confirmed() -> None:
    passing = Passing()
    ticker, clock, _ = watching(opened(), passing=passing)
    passing.s = 100
    assert ticker.still_s() == 0, "nothing is due"
    clock.now = opened().event.respond_by
    ticker.look()
    passing.s = 130
    clock.now += PATIENCE
    assert ticker.look() == [2]
    assert ticker.still_s() == 30, "another try is no confirmation"
    ticker.watch({})
    assert ticker.still_s() == 0, "the partition went, and its deadlines with it"
