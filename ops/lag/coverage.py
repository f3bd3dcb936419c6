"""Which partitions a group's lag covers: all of every topic that it reads, with a commit in them or without."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ops.lag.broker_view import BrokerView

#: Groups remembered after they vanished together with a topic; the oldest are forgotten first.
VANISHED_KEPT = 1_000


class Coverage:
    """Remembers which topics each group reads, so that a topic that was recreated without its commits still counts."""

    def __init__(self, expected: Mapping[str, Iterable[str]]) -> None:
        self._expected = {group: frozenset(topics) for group, topics in expected.items()}
        #: Group → topic → id the topic had when the group was seen to read it.
        self._seen: dict[str, dict[str, str]] = {}

    def partitions(self, view: BrokerView) -> Iterator[tuple[str, str, int]]:
        """(group, topic, partition) for every partition of every topic that a group reads.

        A group reads a topic when it has a commit in any partition of it, when one of its members holds one, when
        either was so before, or when it is expected to. A deleted group is forgotten, unless it vanished because its
        topic did: Kafka drops the commits of a deleted topic, and then the groups that have no others.
        """
        self._remember(view)
        self._forget(view)
        for name in self._seen.keys() | self._expected.keys():
            for topic in self._seen.get(name, {}).keys() | self._expected.get(name, frozenset()):
                if topic in view.topics:
                    for partition in view.topics[topic].partitions:
                        if (topic, partition) in view.bounds:
                            yield name, topic, partition

    def _remember(self, view: BrokerView) -> None:
        for name, group in view.groups.items():
            seen = self._seen.setdefault(name, {})
            for topic, _ in group.committed:
                # Commits of a deleted topic stay a while; they say nothing about the topic that has its name now.
                if topic not in seen and topic in view.topics:
                    seen[topic] = view.topics[topic].topic_id
            for topic, _ in group.owned:
                if topic in view.topics:
                    seen[topic] = view.topics[topic].topic_id

    def _forget(self, view: BrokerView) -> None:
        for gone in [name for name in self._seen if name not in view.groups]:
            self._seen[gone] = {
                topic: topic_id
                for topic, topic_id in self._seen[gone].items()
                if topic not in view.topics or view.topics[topic].topic_id != topic_id
            }
            if not self._seen[gone]:
                del self._seen[gone]
        vanished = [name for name in self._seen if name not in view.groups]
        for name in vanished[: max(0, len(vanished) - VANISHED_KEPT)]:
            del self._seen[name]
