"""A worker whose state takes longer to read than the group waits for a sign of life.

aiokafka sends none meanwhile. The worker was taken for dead, took everything over anew, and was taken for dead again;
with a second worker, the two fenced each other for ever.
"""

from __future__ import annotations

import time
from pathlib import Path

from schemas.serde import Serde
from streams.runtime.app import HEARTBEAT_S, REBALANCE_TIMEOUT_S, SESSION_TIMEOUT_S
from tests.chaos.test_runtime_kills import PARTITIONS, Workers, topics
from tests.counting import TOPICS
from tests.services import KafkaService, RegistryService

#: Of one partition's state.
RESTORE_S = 2.0
TAKING_OVER = b"taking over partitions"


def test_a_worker_that_reads_its_state_for_long_is_not_taken_for_dead(
    kafka: KafkaService, registry: RegistryService, tmp_path: Path
) -> None:
    assert SESSION_TIMEOUT_S < RESTORE_S * PARTITIONS < REBALANCE_TIMEOUT_S
    Serde(registry.url).register_all(TOPICS)
    with topics(kafka):
        workers = Workers(1, kafka, registry, tmp_path, str(RESTORE_S))
        try:
            deadline = time.monotonic() + 90
            while not workers.settled() and time.monotonic() < deadline:
                time.sleep(0.1)
            assert workers.settled()
            takeovers = workers.told(TAKING_OVER)
            # That nothing happens cannot be waited for; a worker that the group has forgotten hears it at its next
            # heartbeat.
            time.sleep(2 * HEARTBEAT_S)
            assert workers.told(TAKING_OVER) == takeovers
        finally:
            codes = workers.stop()
    assert codes == [0]
