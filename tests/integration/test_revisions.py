"""A corrected context is a revision of the case: graded and escalated anew, and both are told in its story."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

from click.testing import CliRunner

from ops.cli import cli
from ops.system.system import System
from streams import topics
from tests.integration.cases import jpeg
from tests.integration.watcher import Seen, Watcher

BEFORE = {"age": 40}
CORRECTED = {"age": 86, "diabetes": True, "infection_signs": ["fever"], "necrosis": True, "immunosuppression": True}


def test_a_corrected_context_is_graded_and_escalated_anew_and_both_are_in_the_story(
    pipeline: System, watcher: Watcher, tmp_path: Path
) -> None:
    picture = tmp_path / "heel.jpg"
    picture.write_bytes(jpeg(seed=77, stage="stage_2"))

    def vigia(*arguments: str) -> str:
        done = CliRunner().invoke(cli, arguments, env={**pipeline.process_environment, "VIGIA_TOKEN_KEY": "k" * 32})
        assert done.exit_code == 0, done.output
        return done.output

    def published(context: dict[str, object]) -> tuple[UUID, str]:
        arguments = ("--image", str(picture), "--patient-code", "CD-2025-077", "--context", json.dumps(context))
        told = json.loads(vigia("publish", *arguments, "--json"))
        return UUID(told["case_id"]), told["event_id"]

    case, first = published(BEFORE)
    watcher.of(case, topics.GRADINGS)
    again, second = published(CORRECTED)
    assert again == case
    assert second != first
    before, after = watcher.of(case, topics.GRADINGS, 2)

    def escalated_anew(seen: Seen) -> bool:
        return (
            seen.topic in topics.ESCALATIONS.values() and getattr(seen.event, "source_event_id", None) == after.event_id
        )

    assert before.event_id != after.event_id
    watcher.until(escalated_anew, what="an escalation of the revision")
    headings = [line for line in vigia("case", "show", str(case)).splitlines() if ", revision " in line]
    for what in ("case published", "decision: ", "escalation "):
        assert any(what in line and ", revision 2 " in line for line in headings), headings
    for what in ("case published", "decision: "):
        assert any(what in line and ", revision 1 " in line for line in headings), headings
    assert json.loads(vigia("audit", "verify", "--case", str(case), "--json"))["clean"]
