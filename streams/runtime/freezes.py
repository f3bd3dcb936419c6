"""The note that a worker froze, and with which records in hand: its last words, which others write down for it.

A freeze is seen from outside (`lookout`) and attributed exactly, unlike a death, which may have come from anywhere. So
one is enough to try the records that were in hand one by one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

#: Name of the note in the state topic, per partition.
NAME = b"froze"

#: topic → first and last offset in hand, for one partition.
Spans = Mapping[str, tuple[int, int]]


def spans(positions: Iterable[tuple[str, int, int]]) -> dict[int, dict[str, tuple[int, int]]]:
    """Partition → spans, of records by topic, partition and offset."""
    found: dict[int, dict[str, tuple[int, int]]] = {}
    for topic, partition, offset in positions:
        first, last = found.setdefault(partition, {}).get(topic, (offset, offset))
        found[partition][topic] = min(first, offset), max(last, offset)
    return found


def to_json(of_partition: Spans) -> bytes:
    """One line of UTF-8 JSON."""
    return json.dumps({topic: list(span) for topic, span in of_partition.items()}).encode()


def from_json(data: bytes | None) -> dict[str, tuple[int, int]]:
    """What `to_json` wrote; nothing for anything else: then deaths are counted, as ever."""
    try:
        found = json.loads(data or b"{}")
        return {str(topic): (int(first), int(last)) for topic, (first, last) in found.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}
