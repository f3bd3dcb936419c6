"""What counts as a defect, and how two versions' outcomes stand beside each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.attacks.attack import AttackOutcome
from ops.attacks.registry import ATTACKS
from ops.attacks.table import as_json, of_one, of_two


def outcome(**changes: object) -> AttackOutcome:
    values: dict[str, object] = {
        "name": "3 MB",
        "origin": "7 A1",
        "waited_s": 0.25,
        "sent": 2,
        "unanswered": 0,
        "unaudited": 0,
        "restarts": 0,
        "peak_mib": 210.4,
    }
    return AttackOutcome(**{**values, **changes})  # type: ignore[arg-type]


def test_an_attack_without_effect_has_no_defect() -> None:
    assert outcome().defects == []
    assert of_one(outcome()) == "| 3 MB | 7 A1 | 0.2 | 2 of 2 | 0 | 210 | none |"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"waited_s": None}, "the emergency was not escalated"),
        ({"waited_s": 11.0}, "the emergency waited 11 s"),
        ({"unanswered": 1}, "nobody was asked about 1 of 2"),
        ({"unaudited": 1}, "1 answers are not in the audit"),
        ({"peak_mib": 601.0}, "601 MiB"),
        ({"wrong": "a name is in the log"}, "a name is in the log"),
        ({"killed": True}, "the system did not serve any more"),
    ],
    ids=str,
)
def test_each_effect_is_a_defect(changes: dict[str, object], said: str) -> None:
    assert outcome(**changes).defects == [said]


def test_what_the_broker_refused_is_told() -> None:
    assert of_one(outcome(sent=0, refused="too large")).endswith("| – | 0 | 210 | refused: too large |")


def test_two_versions_stand_side_by_side(tmp_path: Path) -> None:
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    before.write_text(as_json([outcome(waited_s=None, unanswered=2, peak_mib=1_150.0, killed=True)]))
    after.write_text(as_json([outcome(), outcome(name="new")]))
    rows = of_two(before, after).splitlines()[2:]
    said = "before: the system did not serve any more"
    assert rows[0] == f"| 3 MB | 7 A1 | never | 0 of 2 | 0 | 1150 | 0.2 | 2 of 2 | 0 | 210 | {said} |"
    assert rows[1].startswith("| new | 7 A1 | not run | not run | not run | not run | 0.2 |")


def test_every_attack_says_where_it_comes_from() -> None:
    assert {attack.origin.split(" ")[0].rstrip(",") for attack in ATTACKS.values()} <= {"2", "3", "5", "7", "own"}
    assert sum(attack.origin == "own" for attack in ATTACKS.values()) >= 10
