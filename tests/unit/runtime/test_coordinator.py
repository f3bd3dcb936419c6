"""What we mend of aiokafka's group coordinator: answers that speak of the whole group, and life during a takeover."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, errors
from aiokafka.consumer import consumer as aiokafka_consumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.protocol.commit import OffsetFetchResponse_v3

from streams.runtime import coordinator
from streams.runtime.coordinator import Coordinator


class Told(Coordinator):
    """Without a cluster: only what it does with an answer."""

    def __init__(self) -> None:
        self.dead = 0

    def coordinator_dead(self) -> None:
        self.dead += 1


@pytest.mark.parametrize(("code", "dead"), [(14, 0), (15, 1), (16, 1)])
def test_an_error_of_the_group_is_raised_and_may_be_tried_again(code: int, dead: int) -> None:
    told = Told()
    answer = OffsetFetchResponse_v3(throttle_time_ms=0, topics=[], error_code=code)
    with pytest.raises(errors.KafkaError) as raised:
        told._refuse_group_error(answer.error_code)
    assert raised.value.retriable
    assert told.dead == dead


def test_an_answer_without_error_passes() -> None:
    Told()._refuse_group_error(0)


def test_aiokafka_does_not_look_at_the_error_of_the_group_and_takes_its_coordinator_from_where_we_put_it() -> None:
    fetch = inspect.getsource(GroupCoordinator._do_fetch_commit_offsets)
    assert "response.error_code" not in fetch
    assert "await self._send_req(request)" in fetch
    assert "self._coordinator = GroupCoordinator(" in inspect.getsource(AIOKafkaConsumer.start)
    coordinator.install()
    assert aiokafka_consumer.GroupCoordinator is Coordinator


def test_a_worker_lives_while_it_takes_partitions_over(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    async def takes_over(self: Any, *joined: Any) -> None:
        order.append(f"takes over {joined}")

    async def heartbeats(self: Any) -> None:
        order.append("heartbeats")

    async def go() -> tuple[bool, asyncio.Task[None]]:
        member = Told()
        member._heartbeat_task = None
        await member._on_join_complete(7, "member", "protocol", b"assignment")
        first = member._heartbeat_task
        # What aiokafka does next.
        member._start_heartbeat_task()
        await first
        return member._heartbeat_task is first, first

    monkeypatch.setattr(GroupCoordinator, "_on_join_complete", takes_over)
    monkeypatch.setattr(GroupCoordinator, "_heartbeat_routine", heartbeats)
    same, _ = asyncio.run(go())
    assert same, "one task, however often it is started"
    assert order == ["takes over (7, 'member', 'protocol', b'assignment')", "heartbeats"]


def test_aiokafka_itself_starts_it_only_when_the_takeover_is_over() -> None:
    # When an upgrade mends it, ours is to go.
    active = inspect.getsource(GroupCoordinator.ensure_active_group)
    assert active.index("_do_rejoin_group(") < active.index("self._start_heartbeat_task()")
    assert "if self._heartbeat_task is None" in inspect.getsource(GroupCoordinator._start_heartbeat_task)
    assert "await self._on_join_complete(" in inspect.getsource(GroupCoordinator._do_rejoin_group)
