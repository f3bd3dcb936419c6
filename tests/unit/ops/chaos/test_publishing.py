"""The flow's producer: what no broker confirms stays in doubt, and what cannot be sent is told at once."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaException

from ops.chaos.publishing import Publishing
from ops.chaos.values import Sent

#: Nobody listens there.
NOWHERE = "127.0.0.1:1"


def test_what_no_broker_confirms_stays_in_doubt() -> None:
    publishing = Publishing(NOWHERE)
    publishing.publish(Sent(topic="vigia.cases.routine", key=b"k", value=b"v"))
    assert [one.acked for one in publishing.finish(0.1)] == [False]


def test_a_record_that_no_producer_would_take_is_an_error_and_not_an_endless_replacement() -> None:
    publishing = Publishing(NOWHERE)
    with pytest.raises(KafkaException):
        publishing.publish(Sent(topic="vigia.cases.routine", key=b"k", value=b"x" * 20_000_000))
    assert publishing.replaced == 0
