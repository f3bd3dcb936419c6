"""Writes down that a worker froze, on its behalf: python -m streams.runtime.freeze_note BOOTSTRAP STATE_TOPIC

Standard input is what was in hand, as JSON: partition → topic → first and last offset. The note changes nothing that
was decided; whoever takes the partition over reads it (`streams.runtime.breaker`).
"""

from __future__ import annotations

import json
import sys

from streams.broker.clients import producer
from streams.runtime import freezes
from streams.runtime.state import NOTE

#: Seconds the broker may take for some small records.
TIMEOUT_S = 30.0


def write(bootstrap_servers: str, state_topic: str, in_hand: bytes) -> bool:
    """Write one note per partition; whether the broker has taken all of them."""
    try:
        by_partition = {int(partition): spans for partition, spans in json.loads(in_hand).items()}
    except (ValueError, AttributeError):
        # It froze while it said what it had in hand.
        return False
    writing = producer(bootstrap_servers)
    for partition, spans in by_partition.items():
        writing.produce(state_topic, freezes.to_json(spans), NOTE + freezes.NAME, partition)
    return not writing.flush(TIMEOUT_S)


if __name__ == "__main__":
    sys.exit(0 if write(sys.argv[1], sys.argv[2], sys.stdin.buffer.read()) else 1)
