"""Some of the attacks of `python -m ops.attacks`, on the pipeline that stands: none may have an effect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.attacks.field import Field
from ops.attacks.memory import Peak
from ops.attacks.registry import ATTACKS
from ops.attacks.run import measured
from ops.attacks.target import Target
from ops.system.system import System
from streams.settings import Settings

#: Those that are quick, and that no other test makes. How long they may take is for the program, on a machine that does
#: nothing else.
CHOSEN = (
    "headers of a dead letter, forged",
    "poison on the inferences",
    "poison among the answers",
    "a map of 200,000 entries without a byte",
    "cases of the years 1 and 9999",
    "pipes, circles and devices in place of pictures",
    "a transaction left open among the cases",
    "a transaction left open among the escalations",
)


class Standing(Target):
    """The session's pipeline, which is neither started nor replaced."""

    def __init__(self, system: System, folder: Path) -> None:
        super().__init__(folder)
        self._system = system
        self.run_dir = system.run_dir
        self.peak = Peak(self.workers)

    @property
    def settings(self) -> Settings:
        return self._system.settings

    def workers(self) -> dict[int, str]:
        return {child.pid: name for name, child in self._system.workers.items() if child.running}

    def endings(self) -> list[str]:
        return [status.name for status in self._system.statuses() for _ in range(status.restarts)]


@pytest.fixture(scope="module")
def field(pipeline: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    target = Standing(pipeline, tmp_path_factory.mktemp("attacks"))
    field = Field.of(target)
    yield field
    field.close()
    assert target.peak is not None
    target.peak.close()


@pytest.mark.parametrize("name", CHOSEN)
def test_an_attack_holds_up_nobody_and_people_are_asked(field: Field, name: str) -> None:
    outcome = measured(field, name, ATTACKS[name], probe=False)
    assert outcome.refused == ""
    assert outcome.restarts == 0
    assert [each for each in outcome.defects if not each.startswith("the emergency waited")] == []
