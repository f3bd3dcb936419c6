"""How far a stage has read, kept in its state topic, where it does not expire.

A group's committed offsets are deleted when its members have been away for `offsets.retention.minutes` (seven days by
default): what a stage has judged long ago would be read again. One record per transaction says where reading goes on;
it wins where the group knows less. It also names the partition count, which decides on which partition state lies, and
the ids of the topics: an offset means nothing in a topic that was made anew, or in a mirror of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """Next offsets to read of one partition of each topic that a stage reads."""

    #: Partitions of every topic when this was written.
    partition_count: int
    #: topic → (topic id, next offset to read).
    offsets: Mapping[str, tuple[str, int]] = field(default_factory=dict)

    def moved(self, offsets: Mapping[str, int], topic_ids: Mapping[str, str], partition_count: int) -> Positions:
        """The positions after a transaction that commits these offsets."""
        moved = {topic: (topic_ids.get(topic, ""), offset) for topic, offset in offsets.items()}
        return replace(self, partition_count=partition_count, offsets={**self.offsets, **moved})

    def next_offset(self, topic: str, topic_ids: Mapping[str, str]) -> int | None:
        """Where to go on reading; None where nothing is known of this topic, or of another one under its name."""
        topic_id, offset = self.offsets.get(topic, ("", 0))
        return offset if offset and topic_id == topic_ids.get(topic, "") else None

    def to_json(self) -> bytes:
        """One line of UTF-8 JSON."""
        value = {"partitions": self.partition_count, "offsets": self.offsets}
        return json.dumps(value, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Positions:
        """What `to_json` wrote; fields that it does not know are left out. Raises ValueError."""
        try:
            value = json.loads(data)
            offsets = {str(topic): (str(kept[0]), int(kept[1])) for topic, kept in value["offsets"].items()}
            return cls(partition_count=int(value["partitions"]), offsets=offsets)
        except (LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise ValueError(f"no positions ({type(error).__name__})") from None
