"""A producer that met a fatal error is replaced; what no producer would take is still refused."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import confluent_kafka
import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from ops.embedded.ports import free_ports
from streams.broker.clients import producer
from streams.broker.mending import MendingProducer

NOBODY = f"127.0.0.1:{free_ports(1)[0]}"


def break_fatally(victim: Producer) -> None:
    """What librdkafka does when a broker has forgotten an idempotent producer, through its own function for tests."""
    (library,) = (Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs").glob("librdkafka-*.so*")
    fatal = ctypes.CDLL(str(library)).rd_kafka_test_fatal_error
    fatal.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p]
    # A Producer object begins with its reference count and type; then comes the pointer to librdkafka's handle.
    handle = ctypes.c_void_p.from_address(id(victim) + 2 * ctypes.sizeof(ctypes.c_void_p))
    assert fatal(handle, KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, b"for a test") == 0


class Opened:
    """Opens real producers, whose broker does not answer, and keeps them."""

    def __init__(self) -> None:
        self.all: list[Producer] = []

    def __call__(self) -> Producer:
        self.all.append(producer(NOBODY, {"message.timeout.ms": 1_000}))
        return self.all[-1]


def test_a_fatal_error_costs_a_producer_and_no_record() -> None:
    opened = Opened()
    mending = MendingProducer(opened)
    reports: list[KafkaError | None] = []
    mending.produce("t", b"in flight", on_delivery=lambda error, _: reports.append(error))
    break_fatally(opened.all[0])
    with pytest.raises(KafkaException):
        opened.all[0].produce("t", b"the broken one takes nothing")
    taken: list[KafkaError | None] = []
    mending.produce("t", b"after", on_delivery=lambda error, _: taken.append(error))
    assert (len(opened.all), mending.replaced) == (2, 1)
    opened.all[1].purge()
    opened.all[1].flush(5)
    assert [error.code() for error in taken if error] == [KafkaError._PURGE_QUEUE], "the new producer did not have it"
    assert len(reports) == 1, "what the broken producer held was never reported"
    assert reports[0] is not None
    mending.produce("t", b"and again")
    assert mending.replaced == 1


@pytest.mark.parametrize("refused", [lambda mending: mending.produce("t", b"x" * 2_000_000)])
def test_a_record_that_no_producer_would_take_replaces_none(refused: Callable[[MendingProducer], None]) -> None:
    opened = Opened()
    mending = MendingProducer(opened)
    with pytest.raises(KafkaException) as error:
        refused(mending)
    assert error.value.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE
    assert mending.replaced == 0


@pytest.mark.parametrize("serve", [MendingProducer.poll, MendingProducer.flush])
def test_serving_reports_of_a_broken_producer_replaces_it_and_raises_nothing(
    serve: Callable[[MendingProducer, float], int],
) -> None:
    opened = Opened()
    mending = MendingProducer(opened)
    mending.produce("t", b"in flight")
    break_fatally(opened.all[0])
    serve(mending, 0.1)
    mending.produce("t", b"after")
    assert len(opened.all) == 2
