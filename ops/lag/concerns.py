"""Which partitions a group is to be held to: not only those in which it happens to have a commit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from ops.lag.view import View


class Concerns:
    """Remembers what each group reads, so that a topic made anew, whose commits are gone, still counts."""

    def __init__(self, expected: Mapping[str, Iterable[str]]) -> None:
        self._expected = {group: frozenset(topics) for group, topics in expected.items()}
        self._seen: dict[str, set[str]] = defaultdict(set)

    def of(self, view: View) -> Iterator[tuple[str, str, int]]:
        """(group, topic, partition) for every partition of every topic that a group is concerned with.

        Concerned: it has a commit in any partition of the topic, a member of it holds one, it was seen to before, or
        it is expected to. A group that was deleted is forgotten.
        """
        for gone in self._seen.keys() - view.groups.keys():
            del self._seen[gone]
        for name, group in view.groups.items():
            self._seen[name].update(topic for topic, _ in (*group.committed, *group.owned))
        for name in self._seen.keys() | self._expected.keys():
            for topic in self._seen.get(name, set()) | self._expected.get(name, frozenset()):
                if topic in view.topics:
                    for number in view.topics[topic].partitions:
                        if (topic, number) in view.bounds:
                            yield name, topic, number
