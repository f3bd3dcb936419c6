"""Brings a cluster to what streams/topics.py declares, and says where it differs.

What exists is never changed: another partition count would move keys away from their state, and a longer retention may
be a hospital's own choice. Differences are reported, and a person decides.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from schemas.errors import OneLineError
from streams.broker.words import in_words
from streams.topics import ALL, Topic, min_insync_replicas

#: A cluster of three answers in well under a second; one that is electing a controller may take ten.
TIMEOUT_S = 30.0


class TopicsError(OneLineError):
    """The cluster did not do what was asked; one line, with the topic."""


class Sizes(Protocol):
    """What is needed of `streams.settings.Settings`."""

    @property
    def partitions(self) -> int:
        """Partitions of every topic."""
        ...

    @property
    def replication(self) -> int:
        """Replicas of every partition."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as declared. `serious`: the pipeline must not run like this."""

    topic: str
    what: str
    expected: str
    found: str
    serious: bool = False

    def __str__(self) -> str:
        return f"{self.topic}: {self.what} is {self.found}, should be {self.expected}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What `apply` did: topics created, and what differs in those that were there."""

    created: tuple[str, ...]
    differences: tuple[Difference, ...]


def apply(admin: AdminClient, sizes: Sizes, topics: Sequence[Topic] = ALL) -> Applied:
    """Create the topics that are missing, change none, and report differences. Raises TopicsError."""
    present = _partitions(admin)
    missing = [topic for topic in topics if topic.name not in present]
    if missing:
        new = [
            NewTopic(t.name, sizes.partitions, sizes.replication, config=_wanted(t, sizes.replication)) for t in missing
        ]
        for name, future in admin.create_topics(new, request_timeout=TIMEOUT_S).items():
            _created(name, future)
        _wait_until_usable(admin, {topic.name for topic in missing})
    return Applied(created=tuple(topic.name for topic in missing), differences=check(admin, sizes, topics))


def check(admin: AdminClient, sizes: Sizes, topics: Sequence[Topic] = ALL) -> tuple[Difference, ...]:
    """Where the cluster differs from what is declared, serious things first. Raises TopicsError."""
    found = _partitions(admin)
    differences: list[Difference] = []
    for topic in topics:
        if topic.name not in found:
            differences.append(_serious(topic, "topic", "there", "missing"))
        elif found[topic.name] != sizes.partitions:
            differences.append(_serious(topic, "partition count", sizes.partitions, found[topic.name]))
    present = [topic for topic in topics if topic.name in found]
    for topic, config in _configs(admin, present):
        differences += _compare(topic, config, sizes.replication)
    return tuple(sorted(differences, key=lambda d: not d.serious))


def _compare(topic: Topic, found: Mapping[str, str], replication: int) -> Iterable[Difference]:
    for name, wanted in _wanted(topic, replication).items():
        value = found.get(name, "unset")
        # The broker may list policies in another order than they were given in.
        if sorted(value.split(",")) != sorted(wanted.split(",")):
            serious = _loses(name, wanted, value)
            yield Difference(topic=topic.name, what=name, expected=wanted, found=value, serious=serious)


#: A wrong policy loses state or audit entries; a wrong stamp lets a tablet's clock decide what is deleted unread; an
#: unclean election loses what was confirmed.
_LOSES_IF_ANOTHER = frozenset({"cleanup.policy", "message.timestamp.type", "unclean.leader.election.enable"})
#: Fewer in-sync replicas lose what was confirmed when a broker dies; a smaller limit refuses records of ours for good.
_LOSES_IF_LESS = frozenset({"min.insync.replicas", "max.message.bytes"})


def _loses(name: str, wanted: str, found: str) -> bool:
    """Whether the pipeline must not run with this difference. A retention of its own, say, loses nothing that runs."""
    if name in _LOSES_IF_LESS:
        return not found.isdigit() or int(found) < int(wanted)
    return name in _LOSES_IF_ANOTHER


def _wanted(topic: Topic, replication: int) -> dict[str, str]:
    return {**topic.config, "min.insync.replicas": str(min_insync_replicas(replication))}


def _serious(topic: Topic, what: str, expected: object, found: object) -> Difference:
    return Difference(topic=topic.name, what=what, expected=str(expected), found=str(found), serious=True)


def _partitions(admin: AdminClient) -> dict[str, int]:
    return {name: len(topic.partitions) for name, topic in _metadata(admin).items()}


def _metadata(admin: AdminClient) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = admin.list_topics(timeout=TIMEOUT_S).topics
        return found
    except KafkaException as error:
        raise TopicsError(f"the broker does not answer: {in_words(error.args[0])}") from None


def _configs(admin: AdminClient, topics: Sequence[Topic]) -> list[tuple[Topic, dict[str, str]]]:
    if not topics:
        return []
    asked = {ConfigResource(ResourceType.TOPIC, topic.name): topic for topic in topics}
    answers: list[tuple[Topic, dict[str, str]]] = []
    for resource, future in admin.describe_configs(list(asked), request_timeout=TIMEOUT_S).items():
        entries = _result(f"configuration of {resource.name}", future)
        answers.append((asked[resource], {name: str(entry.value) for name, entry in entries.items()}))
    return answers


def _created(name: str, future: Future[Any]) -> None:
    try:
        _result(f"creating {name}", future)
    except TopicsError:
        error = future.exception()
        # Another `apply` was faster: the check that follows tells whether it made the same thing.
        if not isinstance(error, KafkaException) or error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def _wait_until_usable(admin: AdminClient, names: set[str]) -> None:
    # The controller answers before the brokers know (in KRaft the operation timeout changes nothing about that), and a
    # worker started at once would not find its topics.
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        found = _metadata(admin)
        unready = sorted(n for n in names if n not in found or any(p.leader < 0 for p in found[n].partitions.values()))
        if not unready:
            return
        if time.monotonic() > deadline:
            raise TopicsError(f"{unready[0]} was created, but no broker leads it after {TIMEOUT_S:.0f} s")
        time.sleep(0.05)


def _result(what: str, future: Future[Any]) -> Any:
    try:
        return future.result(TIMEOUT_S)
    except KafkaException as error:
        raise TopicsError(f"{what}: {in_words(error.args[0])}") from None
    except TimeoutError:
        raise TopicsError(f"{what}: no answer within {TIMEOUT_S:.0f} s") from None
