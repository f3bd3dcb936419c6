"""Run on a pseudo-terminal by test_terminal.py: everything that shows what others wrote, fed with what they might."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import click
from rich.table import Table

from ops.cli import LazyGroup
from ops.commands import ack, consume, reviews
from ops.lag.table import as_table
from ops.system import logs
from ops.terminal.console import plain_console
from ops.terminal.plain import echo, echo_json
from ops.views import audit as audit_view
from ops.views.reviews import Review
from ops.watch.screen import draw
from schemas.events import AuditEntry, PipelineStage
from streams.audit.trail import Trail
from streams.broker.received import ReceivedEvent
from streams.client.acknowledge import Answered
from tests.unit.ops.lag.test_table import LAG
from tests.unit.ops.watch.test_screen import ESCALATION, SNAPSHOT
from tests.unit.schemas.samples import ESCALATION_EVENT

#: A window title, an emptied screen, the clipboard, a forged line, C1's own escape, a turned text, and Rich's markup.
HOSTILE = "[/x]\x1b]0;title\x07\x1b[2J\x1b]52;c;ZXZpbA==\x07\nthe chain holds\x9b31m\u202eegap\u2028forged\x7f[bold]"


def forced(event: Any, **changes: Any) -> Any:
    """The event with values that its own check would refuse: an event of another version has other checks."""
    copy = replace(event)
    for name, value in changes.items():
        object.__setattr__(copy, name, value)
    return copy


def main() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    event = forced(ESCALATION_EVENT, role=HOSTILE, model_version=HOSTILE)
    listed = [Review(event=event, since=now), Review(event=event, since=now, acknowledged_role=HOSTILE)]
    reviews._print(listed, now)
    reviews._print_json(listed, now)
    plain_console().print(draw(replace(SNAPSHOT, trouble=HOSTILE)))
    urgent = replace(ESCALATION, role=HOSTILE, priority=HOSTILE)
    assert SNAPSHOT.clinical is not None
    plain_console().print(draw(replace(SNAPSHOT, clinical=replace(SNAPSHOT.clinical, unanswered=(urgent,)))))
    entry = AuditEntry(
        event_id=UUID(int=1),
        case_id=UUID(int=2),
        stage=PipelineStage.ACKNOWLEDGEMENT,
        decided_at=now,
        topic="vigia.acknowledgements",
        outcome="role_unknown",
        output_hash="0" * 64,
    )
    entry = forced(entry, outcome=HOSTILE, attributes={"role": HOSTILE, HOSTILE: "x"}, model_version=HOSTILE)
    audit_view.print_trail(UUID(int=2), Trail(entries=(entry,), erased_at=None))
    received = ReceivedEvent(
        topic="t", partition=0, offset=1, key=b"k", headers=(), timestamp=now, value=b"", decoded=event, error=None
    )
    echo(consume._line(received))
    echo_json(received.as_mapping())
    answered = Answered(
        event_id=UUID(int=1),
        escalation_id=UUID(int=2),
        case_id=UUID(int=3),
        action=None,  # type: ignore[arg-type]
        role=HOSTILE,
        code=HOSTILE,
        refusal=HOSTILE,
        in_time=None,
    )
    echo(ack._line(answered))
    plain_console().print(as_table([replace(LAG, group=HOSTILE, topic=HOSTILE)], all_partitions=False))
    table = Table(HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE)
    plain_console().print(table, HOSTILE)
    logs.configure()
    logging.getLogger("vigia.worker").warning("model %s refused", HOSTILE)
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logging.getLogger("vigia.worker").exception("failed")


class Failing(LazyGroup):
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        @click.command()
        def fail() -> None:
            raise click.ClickException(HOSTILE)

        return fail


if __name__ == "__main__":
    main()
    Failing("vigia")(["fail"])
