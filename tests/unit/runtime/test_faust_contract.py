"""What the runtime relies on inside Faust and aiokafka. An upgrade that changes one of these fails here, by name."""

from __future__ import annotations

import inspect
from importlib.metadata import version

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaError, ProducerFenced
from faust.app.base import App
from faust.streams import Stream
from faust.transport import base
from faust.transport.consumer import Consumer, TransactionManager
from faust.transport.drivers import aiokafka as driver

from streams.runtime.transport import ConsumerThread, Transport


def source(thing: object) -> str:
    return inspect.getsource(thing)  # type: ignore[arg-type]


def test_the_versions_are_the_ones_this_was_tested_with() -> None:
    assert (version("faust-streaming"), version("aiokafka")) == ("0.15.3", "0.14.0")


def test_the_transaction_manager_is_taken_from_the_transport_class() -> None:
    assert "self.TransactionManager(" in source(base.Transport.create_transaction_manager)
    assert issubclass(Transport.TransactionManager, TransactionManager)


def test_the_app_asks_these_two_methods_for_its_transport() -> None:
    assert callable(App._new_transport)
    assert callable(App._new_producer_transport)


def test_folders_are_made_only_by_the_method_that_we_empty() -> None:
    assert "self._create_directories()" in source(App)


def test_the_consumer_reads_committed_and_calls_the_manager_when_in_a_transaction() -> None:
    assert 'isolation_level = "read_committed"' in source(driver.AIOKafkaConsumerThread._create_worker_consumer)
    assert "self.transactions.commit(" in source(Consumer._commit_offsets)
    assert "self.in_worker" in source(App)


def test_the_manager_is_told_of_a_rebalance_before_committed_offsets_are_read() -> None:
    assigned = source(App._on_partitions_assigned)
    assert assigned.index("transactions.on_rebalance") < assigned.index("tables.on_rebalance")
    from faust.tables.recovery import Recovery

    assert "perform_seek" in source(Recovery._resume_streams)


def test_faust_waits_for_what_is_in_flight_before_the_manager_hears_of_a_revocation() -> None:
    revoked = source(App._on_partitions_revoked)
    assert revoked.index("_consumer_wait_empty") < revoked.index("transactions.on_partitions_revoked")


def test_the_generation_is_set_before_the_assignment_is_announced() -> None:
    listener = source(driver.ConsumerRebalanceListener.on_partitions_assigned)
    assert listener.index("consumer_generation_id = generation") < listener.index(
        "self._thread.on_partitions_assigned("
    )


def test_a_message_carries_the_generation_it_was_fetched_in() -> None:
    assert "generation_id=self.app.consumer_generation_id" in source(driver.Consumer._to_message)


def test_take_events_acknowledges_only_after_the_batch_was_consumed() -> None:
    taken = source(Stream.take_events)
    assert taken.index("yield list(events)") < taken.index("await self.ack(event)")


def test_the_consumer_thread_class_is_made_where_we_make_ours() -> None:
    assert "AIOKafkaConsumerThread(" in source(driver.Consumer._new_consumer_thread)
    assert issubclass(ConsumerThread, driver.AIOKafkaConsumerThread)


def test_faust_without_tables_would_deal_partitions_by_round_robin() -> None:
    assert "RoundRobinPartitionAssignor" in source(driver.AIOKafkaConsumerThread._create_worker_consumer)


def test_the_assignor_is_read_from_this_attribute_when_the_consumer_starts() -> None:
    assert "assignors=self._partition_assignment_strategy" in source(AIOKafkaConsumer.start)
    assert "assignor.metadata(topics)" in source(inspect.getmodule(GroupCoordinator))


def test_rebalancing_is_eager_so_every_partition_is_revoked_first() -> None:
    assert "_on_join_prepare" in source(GroupCoordinator)


@pytest.mark.parametrize(
    "method", ["start", "stop", "begin_transaction", "send", "send_offsets_to_transaction", "commit_transaction"]
)
def test_the_transactional_producer_has_the_methods_we_call(method: str) -> None:
    assert inspect.iscoroutinefunction(getattr(AIOKafkaProducer, method))


def test_being_fenced_is_an_error_of_its_own() -> None:
    assert issubclass(ProducerFenced, KafkaError)


def test_the_manager_has_the_hooks_that_faust_calls() -> None:
    for hook in ("on_partitions_revoked", "on_rebalance", "commit"):
        assert inspect.iscoroutinefunction(getattr(TransactionManager, hook))


def test_settings_we_set_exist() -> None:
    settings = set(faust.Settings.SETTINGS)
    assert {
        "processing_guarantee",
        "broker_session_timeout",
        "broker_commit_interval",
        "stream_buffer_maxsize",
        "stream_wait_empty",
        "topic_disable_leader",
        "topic_allow_declare",
        "web_enabled",
        "web_tables_enabled",
    } <= settings


def test_a_partition_without_a_committed_offset_is_sought_by_us_since_aiokafka_leaves_it_where_it_is() -> None:
    assert "if offset and offset > 0:" in source(AIOKafkaConsumer.seek_to_committed)
    assert "self.seek_to_committed()" in source(Consumer.perform_seek)
    assert "self._thread.seek_to_beginning(*fresh)" in source(Transport.Consumer.seek_to_committed)
