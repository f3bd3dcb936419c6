"""What a cluster must be set to besides the topics: what exactly-once rests on, and how long it outlives idleness."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from typing import Any

from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from streams.broker.broker_version import ADVICE, line_of, loses_commits, metadata_levels
from streams.broker.topic_admin import TIMEOUT_S, Difference, Sizes, TopicsError
from streams.broker.words import in_words
from streams.topics import BY_NAME, CLINICAL_RETENTION_MS, HOUR_MS, min_insync_replicas

OFFSETS, TRANSACTIONS = "__consumer_offsets", "__transaction_state"
#: A group's offsets as long as the records they point at. Positions are in the state topics too; a group of others, and
#: whoever looks at lag, have only these.
OFFSETS_RETENTION_MINUTES = CLINICAL_RETENTION_MS // 60_000
#: An id that expired costs the first case after an idle spell a new connection. An int of milliseconds holds no more.
TRANSACTIONAL_ID_EXPIRATION_MS = 24 * 24 * HOUR_MS
#: Of a stage's producer (`streams.broker.clients.stage_producer`); the broker refuses one that asks for more.
TRANSACTION_TIMEOUT_MS = 20_000


def check(admin: AdminClient, bootstrap_servers: str, sizes: Sizes) -> tuple[Difference, ...]:
    """Where the cluster's own settings differ, serious things first. Raises TopicsError."""
    try:
        brokers = list(admin.list_topics(timeout=TIMEOUT_S).brokers)
        differences = [
            *_versions(bootstrap_servers),
            *(difference for broker in brokers for difference in _broker(broker, _settings(admin, broker), sizes)),
            *_replication(admin, sizes),
        ]
    except KafkaException as error:
        raise TopicsError(f"the cluster's settings cannot be read: {in_words(error.args[0])}") from None
    return tuple(sorted(differences, key=lambda difference: not difference.serious))


def _versions(bootstrap_servers: str) -> Iterator[Difference]:
    try:
        levels = asyncio.run(metadata_levels(bootstrap_servers))
    except KafkaError as error:
        raise TopicsError(f"the brokers' versions cannot be read: {type(error).__name__}") from None
    for node, level in sorted(levels.items()):
        if loses_commits(level):
            # Not serious: a patch release that mends it looks the same.
            found = f"{line_of(level)} (4.3.0 to 4.4.0 lose committed transactions; patch releases look alike)"
            yield Difference(topic=f"broker {node}", what="Kafka", expected=ADVICE, found=found)


def _broker(node: int, found: Mapping[str, str], sizes: Sizes) -> Iterator[Difference]:
    name, in_sync = f"broker {node}", min_insync_replicas(sizes.replication)
    at_least = {
        "offsets.retention.minutes": (OFFSETS_RETENTION_MINUTES, False),
        "transactional.id.expiration.ms": (TRANSACTIONAL_ID_EXPIRATION_MS, False),
        "transaction.max.timeout.ms": (TRANSACTION_TIMEOUT_MS, True),
        # Of internal topics that are not made yet; of those that are, their own settings count.
        "offsets.topic.replication.factor": (sizes.replication, True),
        "transaction.state.log.replication.factor": (sizes.replication, True),
        "transaction.state.log.min.isr": (in_sync, True),
    }
    for setting, (least, serious) in at_least.items():
        value = found.get(setting, "unset")
        # A broker of another make need not have a setting; what it does not say cannot be judged.
        if value.isdigit() and int(value) < least:
            yield Difference(topic=name, what=setting, expected=f"{least} or more", found=value, serious=serious)


def _replication(admin: AdminClient, sizes: Sizes) -> Iterator[Difference]:
    existing = admin.list_topics(timeout=TIMEOUT_S).topics
    names = [name for name in (OFFSETS, TRANSACTIONS, *BY_NAME) if name in existing]
    if not names:
        return
    described = admin.describe_topics(TopicCollection(names), request_timeout=TIMEOUT_S)
    for name in names:
        partitions = _answer(described[name]).partitions
        least = min((len(partition.replicas) for partition in partitions), default=sizes.replication)
        if least < sizes.replication:
            yield Difference(
                topic=name, what="replication factor", expected=str(sizes.replication), found=str(least), serious=True
            )
    in_sync = min_insync_replicas(sizes.replication)
    for name in (OFFSETS, TRANSACTIONS):
        if name in existing:
            found = _configs(admin, ConfigResource(ResourceType.TOPIC, name)).get("min.insync.replicas", "unset")
            if found.isdigit() and int(found) < in_sync:
                yield Difference(
                    topic=name, what="min.insync.replicas", expected=str(in_sync), found=found, serious=True
                )


def _settings(admin: AdminClient, broker: int) -> dict[str, str]:
    return _configs(admin, ConfigResource(ResourceType.BROKER, str(broker)))


def _configs(admin: AdminClient, resource: ConfigResource) -> dict[str, str]:
    (future,) = admin.describe_configs([resource], request_timeout=TIMEOUT_S).values()
    return {name: str(entry.value) for name, entry in _answer(future).items()}


def _answer(future: Future[Any]) -> Any:
    return future.result(TIMEOUT_S)
