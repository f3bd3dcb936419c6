"""`vigia ack`: take up an escalation, or resolve it, and see whether the answer counts."""

from __future__ import annotations

from dataclasses import asdict
from uuid import UUID

import click

from ops.system.context import load_settings
from ops.terminal.plain import echo, echo_json
from schemas.events import StageClass
from streams.client.acknowledge import Acknowledger, Answered

STAGES = tuple(stage.value for stage in StageClass if stage is not StageClass.UNKNOWN)


@click.command("ack")
@click.argument("escalation_id", type=click.UUID, metavar="ESCALATION")
@click.option("--role", required=True, help="Your role on the ladder of the escalation.")
@click.option("--resolve", is_flag=True, help="End the escalation; without it, its clock is only stopped.")
@click.option("--stage", type=click.Choice(STAGES), help="With --resolve: your own staging, the model's ground truth.")
@click.option(
    "--by",
    metavar="TOKEN",
    required=True,
    envvar="VIGIA_ANSWERED_BY",
    help="Opaque token of who answers (32 to 160 characters), never a name (also VIGIA_ANSWERED_BY).",
)
@click.option("--json", "as_json", is_flag=True, help="Write the verdict as one line of JSON.")
def command(escalation_id: UUID, role: str, resolve: bool, stage: str | None, by: str, as_json: bool) -> None:
    """Answer ESCALATION: its clock stops. With --resolve it ends.

    Exit code 1 when the answer is refused: no such escalation is open, the role is below the one now asked, nobody is
    named, or it names an impossible time.
    """
    if stage is not None and not resolve:
        raise click.UsageError("--stage goes with --resolve")
    with Acknowledger(load_settings()) as desk:
        answered = desk.answer(
            desk.find(escalation_id),
            role=role,
            resolve=resolve,
            stage=None if stage is None else StageClass(stage),
            by=by,
        )
    echo_json(_plain(answered)) if as_json else echo(_line(answered))
    if not answered.accepted:
        raise click.exceptions.Exit(1)


def _line(answered: Answered) -> str:
    told = f"escalation {answered.escalation_id}: "
    if not answered.accepted:
        return f"{told}refused ({answered.code}): {answered.refusal}"
    late = {True: ", in time", False: ", after its deadline", None: ""}[answered.in_time]
    return f"{told}{answered.code.replace('_', ' ')} by {answered.role}{late}"


def _plain(answered: Answered) -> dict[str, object]:
    return {
        **{name: str(value) if isinstance(value, UUID) else value for name, value in asdict(answered).items()},
        "accepted": answered.accepted,
    }
