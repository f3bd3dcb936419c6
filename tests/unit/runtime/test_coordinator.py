"""An OffsetFetch answer that speaks of the whole group is an error to try again after, never "nothing committed"."""

from __future__ import annotations

import inspect

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
