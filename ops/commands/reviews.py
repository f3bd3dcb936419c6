"""`vigia reviews`: who waits for whom, straight from the log."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

import click

from ops.system.context import load_settings
from ops.terminal.plain import echo, echo_block, echo_json
from ops.views.review_list import review_lines, span
from ops.views.reviews import PRIORITIES, Review, read_ground_truth, read_reviews, summary
from streams.clinical.ground_truth import GroundTruth, Relation


@click.command("reviews")
@click.option("--priority", multiple=True, type=click.Choice([p.value for p in PRIORITIES]), help="Only of these.")
@click.option("--overdue", is_flag=True, help="Only those of which a deadline has passed without an answer.")
@click.option("--role", help="Only those that wait for this role now.")
@click.option("--agreement", is_flag=True, help="Instead: clinicians' own staging against the model's, by version.")
@click.option("--json", "as_json", is_flag=True, help="Write everything as one line of JSON.")
def command(priority: tuple[str, ...], overdue: bool, role: str | None, agreement: bool, as_json: bool) -> None:
    """Open escalations: pending, overdue, the oldest, by role. Nothing but the topics is asked.

    Decision support for clinicians, not a diagnosis.
    """
    settings = load_settings()
    if agreement:
        _print_agreement(read_ground_truth(settings), as_json)
        return
    now = datetime.now(UTC)
    found = read_reviews(settings, now)
    chosen = [
        each
        for each in found
        if (not priority or each.event.review_priority.value in priority)
        and (not overdue or each.overdue(now))
        and (role is None or each.event.role == role)
    ]
    _print_json(chosen, now) if as_json else _print(chosen, now)


def _print(reviews: list[Review], now: datetime) -> None:
    told = summary(reviews, now)
    oldest = "" if told.oldest is None else f", oldest {span(now - told.oldest)}"
    echo(f"{told.pending} pending, {told.overdue} overdue, {told.acknowledged} taken up{oldest}")
    if told.by_role:
        echo("waiting for: " + ", ".join(f"{role} {count}" for role, count in told.by_role.items()))
    if reviews:
        echo_block(review_lines(reviews, now))


def _print_json(reviews: list[Review], now: datetime) -> None:
    told = asdict(summary(reviews, now))
    told["oldest"] = None if told["oldest"] is None else told["oldest"].isoformat()
    listed = [
        {
            "escalation_id": str(each.event.escalation_id),
            "case_id": str(each.event.case_id),
            "type": each.event.type.value,
            "priority": each.event.review_priority.value,
            "severity": each.event.severity.value,
            "level": each.event.level,
            "role": each.event.role,
            "acknowledged_role": each.acknowledged_role,
            "resolve_by": None if each.resolve_by is None else each.resolve_by.isoformat(),
            "overdue": each.overdue(now),
            "since": each.since.isoformat(),
            "respond_by": each.event.respond_by.isoformat(),
        }
        for each in reviews
    ]
    echo_json({**told, "reviews": listed})


def _print_agreement(truth: GroundTruth, as_json: bool) -> None:
    versions = truth.by_version()
    if as_json:
        plain = {
            version: {**{r.value: one.counts[r] for r in Relation}, "staged": one.staged, "share": one.share}
            for version, one in versions.items()
        }
        echo_json(plain)
        return
    if not versions:
        echo("no escalation was resolved with a staging yet: vigia ack ESCALATION --role … --resolve --stage …")
        return
    for version, one in versions.items():
        share = "" if one.share is None else f" ({one.share:.0%})"
        echo(
            f"{version}: {one.staged} staged, {one.counts[Relation.AGREEMENT]} agree{share}, "
            f"{one.counts[Relation.UNDER_STAGING]} staged too low, {one.counts[Relation.OVER_STAGING]} too high, "
            f"{one.counts[Relation.NOT_COMPARABLE]} not comparable"
        )
    echo("escalated cases only: not an accuracy over all pictures")
