"""Which test files run side by side (pytest-xdist), and in which order."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling

#: Quick and telling tests first, those that kill things last.
SUITES = ("unit", "integration", "chaos")
#: Within a suite the longest files come first, so that at its end no process works while the other waits.
LONGEST_FIRST = (
    "unit/inference/test_training.py",
    "unit/test_extending.py",
    "unit/inference/test_evaluation.py",
    "unit/clinical/test_decide_properties.py",
    "integration/test_stopping.py",
    "integration/test_crash_loop.py",
    "integration/test_monitoring_panels.py",
    "integration/test_demo.py",
    "integration/test_idle.py",
    "integration/test_model_swap.py",
    "integration/test_new_stage.py",
    "integration/test_refused.py",
    "integration/test_dependencies_away.py",
    "integration/test_lag_truth.py",
    "integration/test_notify.py",
    "integration/test_embedded_kafka.py",
    "integration/test_embedded_up.py",
    "integration/test_skip.py",
    "integration/test_picture_memory.py",
    "chaos/test_runtime_kills.py",
    "chaos/test_campaign.py",
    "chaos/test_clock_kills.py",
)
#: Files that must not run at the same time: what they share → the files. One process runs them, one after the other.
#: All else may run beside anything: a test has topics, groups and folders of its own, or a system of its own; what it
#: waits for is a condition, and its limits leave room for a busy machine. That holds for the clock and the kills too:
#: they judge which records there are, never how fast they came.
TOGETHER = {
    # The session's pipeline: one start of all stages, and the alarms that a test must not see come from nobody else.
    "pipeline": (
        "integration/test_monitoring_panels.py",
        "integration/test_audit_pipeline.py",
        "integration/test_bad_input.py",
        "integration/test_poison.py",
    ),
    # The group and the topics of the counting stage, which are the same for all on a broker that was given.
    "counting": ("chaos/test_runtime_kills.py", "chaos/test_fenced.py", "chaos/test_slow_takeover.py"),
}
_GROUP_OF = {file: group for group, files in TOGETHER.items() for file in files}


def place(nodeid: str) -> tuple[int, int]:
    """Where a test stands in the run; sorts."""
    file = _file(nodeid)
    suite = file.partition("/")[0]
    # A group runs where the first of its files stands.
    file = TOGETHER[_GROUP_OF[file]][0] if file in _GROUP_OF else file
    longest = LONGEST_FIRST.index(file) if file in LONGEST_FIRST else len(LONGEST_FIRST)
    return SUITES.index(suite) if suite in SUITES else 0, longest


class FileScheduling(LoadScopeScheduling):
    """Files, or groups of files, to whichever process is free, in the order of the run."""

    def __init__(self, config: pytest.Config, log: object) -> None:
        # By number of tests, pytest-xdist's own order would begin with the shortest.
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def group_of(nodeid: str) -> str:
    """The group of a test's file, else the file itself: what one process runs without anything between."""
    file = _file(nodeid)
    return _GROUP_OF.get(file, file)


def _file(nodeid: str) -> str:
    """The file of a test, from `tests/` on."""
    return nodeid.partition("::")[0].removeprefix("tests/")
