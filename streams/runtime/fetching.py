"""A fetch that does not cover every partition must not wait long: aiokafka has one in flight to a broker at a time.

Partitions whose records still wait to be taken are left out of a fetch (aiokafka 0.14.0, `Fetcher._get_actions_per_node`).
Where those left in have nothing new, the broker holds the fetch for as long as it may (Faust asks for 1.5 s), and what
is drained meanwhile is fetched only then: under a backlog a worker stood still a third of its time.
"""

from __future__ import annotations

from typing import Any

import aiokafka.consumer.consumer
from aiokafka.consumer.fetcher import Fetcher

#: Milliseconds that a partial fetch may wait at the broker. Shorter than a batch of pictures takes; each costs a request.
PARTIAL_WAIT_MS = 40


class PatientFetcher(Fetcher):  # type: ignore[misc]
    """Waits long only where no partition can be kept waiting by it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._full_wait_ms: int = self._fetch_max_wait_ms

    def _get_actions_per_node(self, assignment: Any) -> Any:
        partial = any(tp in self._records for tp in assignment.tps)
        self._fetch_max_wait_ms = PARTIAL_WAIT_MS if partial else self._full_wait_ms
        return super()._get_actions_per_node(assignment)


def install() -> None:
    """Let every consumer that starts from now on fetch so. Safe to call again."""
    aiokafka.consumer.consumer.Fetcher = PatientFetcher
