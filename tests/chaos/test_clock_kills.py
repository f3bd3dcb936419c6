"""Workers of the escalation stage are killed between levels: each level is published and audited exactly once."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from streams import topics
from tests.integration.clocked import clocked_system, emergency, is_escalation
from tests.services import RegistryService

SEED = 20_261_124
CASES = 8
LEVELS = 6
#: A deadline is short, so that several pass while a killed worker's partitions wait for the next one.
EVERY_S = 3


def test_each_level_appears_once_while_workers_are_killed(
    registry: RegistryService, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    rng = random.Random(SEED)
    with clocked_system(registry, tmp_path) as clock:
        for _ in range(2):
            clock.start_worker()
        cases = [clock.grade(emergency(within_s=EVERY_S, every_s=EVERY_S)).case_id for _ in range(CASES)]
        kills = 0
        for case_id in cases:
            clock.escalated(case_id, 1)
        reached = 0
        while reached < LEVELS:
            reached += 1
            for case_id in cases:
                clock.escalated(case_id, reached + 1)
            if kills < 4:
                victim = clock.workers.pop(rng.randrange(len(clock.workers)))
                victim.kill()
                victim.wait()
                kills += 1
                clock.start_worker()
        # The clock goes on for ever; what is judged is what stands on the log now.
        time.sleep(0.5)
        clock.kill_workers()
        records = clock.watcher.settle()
        levels: dict[UUID, list[int]] = defaultdict(list)
        missed: dict[UUID, list[str]] = defaultdict(list)
        for seen in records:
            for case_id in cases:
                if is_escalation(seen, case_id):
                    levels[case_id].append(seen.event.level)
            if seen.topic == topics.AUDIT and seen.event is not None and seen.event.outcome.startswith("deadline_m"):
                missed[seen.event.case_id].append(seen.event.outcome)
    record_property("figures", f"seed {SEED}: {kills} kills, {CASES} cases, levels {sorted(map(len, levels.values()))}")
    for case_id in cases:
        assert levels[case_id] == list(range(len(levels[case_id]))), "a level is missing, doubled or out of order"
        assert missed[case_id] == [f"deadline_missed:emergency:{level}" for level in levels[case_id][1:]]
