"""Counts the owners of a partition that began at one place and did not leave it alive. Functions of values.

Each owner writes down where it begins, and takes that back when it leaves properly. What it finds is the number of
those before it that died there: it lies in the state topic, so restarts of worker and supervisor and another machine
do not make it forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

#: Name of the note in the state topic.
NOTE = b"starts"
#: Deaths at one place after which its records are tried one by one. A worker may die of much else (memory, a broker
#: that goes away, an update by force): two deaths at a quiet place are no sign yet.
SUSPICIOUS = 3
#: A count is not written higher: nothing is decided by it any more.
MOST = 1_000


@dataclass(frozen=True, slots=True)
class Start:
    """Where an owner began to read a topic, and how many that began there did not leave alive, itself included."""

    offset: int
    count: int

    @property
    def deaths(self) -> int:
        """Owners that died there before this one."""
        return self.count - 1


#: topic → start, for one partition.
Starts = Mapping[str, Start]


def begun(before: Starts, positions: Mapping[str, int]) -> dict[str, Start]:
    """What an owner writes that begins at these positions (topic → next offset to read)."""
    return {
        topic: Start(offset, min(MOST, _count(before.get(topic), offset) + 1)) for topic, offset in positions.items()
    }


def left(starts: Starts, moved: Collection[str]) -> dict[str, Start]:
    """What an owner writes that leaves alive; topics of which it has committed something are of no interest."""
    return {
        topic: Start(start.offset, max(0, start.count - 1)) for topic, start in starts.items() if topic not in moved
    }


def to_json(starts: Starts) -> bytes:
    """One line of UTF-8 JSON."""
    return json.dumps({topic: [start.offset, start.count] for topic, start in starts.items()}).encode()


def from_json(data: bytes | None) -> dict[str, Start]:
    """What `to_json` wrote; nothing for anything else: then the counting begins anew."""
    try:
        found = json.loads(data or b"{}")
        return {str(topic): Start(int(offset), int(count)) for topic, (offset, count) in found.items()}
    except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError):
        return {}


def _count(before: Start | None, offset: int) -> int:
    return before.count if before is not None and before.offset == offset else 0
