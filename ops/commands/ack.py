"""`vigia ack`: take up an escalation, or resolve it, and see whether the answer counts."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from uuid import UUID

import click

from ops.system.context import load_settings
from ops.terminal.plain import echo_block, echo_json
from ops.views.reviews import read_reviews
from schemas.errors import OneLineError
from schemas.events import EscalationEvent, StageClass
from streams.client.acknowledge import Acknowledger, Answered
from streams.clinical.acknowledgements import AckCode
from streams.settings import Settings

#: Refusals which only say that somebody else is asked.
_FOR_OTHERS = {AckCode.ROLE_TOO_LOW.value, AckCode.ROLE_UNKNOWN.value}
STAGES = tuple(stage.value for stage in StageClass if stage is not StageClass.UNKNOWN)


@click.command("ack")
@click.argument("escalation_id", type=click.UUID, metavar="[ESCALATION]", required=False)
@click.option(
    "--case", "case_id", type=click.UUID, help="Instead: every open escalation of this case that your role may answer."
)
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
def command(
    escalation_id: UUID | None,
    case_id: UUID | None,
    role: str,
    resolve: bool,
    stage: str | None,
    by: str,
    as_json: bool,
) -> None:
    """Answer ESCALATION, or all of a case: the clock stops. With --resolve it ends.

    Exit code 1 when the answer is refused: no such escalation is open, the role is below the one now asked, nobody is
    named, or it names an impossible time. With --case, an escalation that another role must answer is only named, as
    long as there is one that counts.
    """
    if stage is not None and not resolve:
        raise click.UsageError("--stage goes with --resolve")
    if (escalation_id is None) == (case_id is None):
        raise click.UsageError("name an ESCALATION, or a case with --case")
    settings = load_settings()
    staged = None if stage is None else StageClass(stage)
    with Acknowledger(settings) as desk:
        if case_id is not None:
            asked = open_escalations(settings, case_id)
        else:
            assert escalation_id is not None
            asked = [desk.find(escalation_id)]
        answers = [desk.answer(each, role=role, resolve=resolve, stage=staged, by=by) for each in asked]
    if as_json:
        told = [_plain(each) for each in answers]
        echo_json(told if case_id is not None else told[0])
    else:
        echo_block(_line(each) for each in answers)
    if not counts(answers):
        raise click.exceptions.Exit(1)


def open_escalations(settings: Settings, case_id: UUID) -> list[EscalationEvent]:
    """The case's open escalations, the most pressing first. Raises NothingOpenError, ClientError."""
    reviews = read_reviews(settings, datetime.now(UTC))
    found = [each.event for each in reviews if each.event.case_id == case_id]
    if not found:
        raise NothingOpenError(f"no escalation of case {case_id} is open: see `vigia reviews`")
    return found


def counts(answers: list[Answered]) -> bool:
    """Whether one was taken, and none refused but for the role: of a case's, others may be asked beside this role."""
    refused = {each.code for each in answers if not each.accepted}
    return any(each.accepted for each in answers) and refused <= _FOR_OTHERS


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


class NothingOpenError(OneLineError):
    """The case has no open escalation."""
