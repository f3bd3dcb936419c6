"""Open reviews as people read them, and which answers to a whole case count."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID

import pytest

from ops.commands.ack import counts
from ops.views.review_list import due, review_lines, span
from ops.views.reviews import Review
from schemas.events import AcknowledgementAction, EscalationType, ReviewPriority
from streams.client.acknowledge import Answered
from streams.stages.policy.file import load_policy
from tests.unit.schemas.samples import ESCALATION_EVENT

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ROLES = tuple(load_policy(None).roles)


def review(number: int, **changes: object) -> Review:
    event = replace(ESCALATION_EVENT, case_id=UUID(int=number), respond_by=NOW + timedelta(minutes=5), **changes)
    return Review(event=event, since=NOW - timedelta(days=36))


def test_no_line_is_wider_than_a_terminal() -> None:
    """At 73f85d3 the columns were cut to "prio…" and "in 4…", and the id to be typed with them."""
    kinds = (each for each in EscalationType if each is not EscalationType.UNKNOWN)
    priorities = (each for each in ReviewPriority if each is not ReviewPriority.UNKNOWN)
    for number, (kind, priority, role) in enumerate(product(kinds, priorities, ROLES)):
        one = review(number, type=kind, review_priority=priority, role=role, level=99)
        taken = replace(one, acknowledged_role=role, resolve_by=NOW + timedelta(hours=47))
        for lines in (list(review_lines([one], NOW)), list(review_lines([taken], NOW))):
            assert max(map(len, lines)) <= 80, lines
            assert str(one.event.escalation_id) in lines[2]


def test_a_case_is_one_block_where_its_first_review_stands() -> None:
    reviews = [review(1), review(2), review(1, type=EscalationType.HIGH_RISK)]
    lines = list(review_lines(reviews, NOW))
    assert [line for line in lines if line.startswith("case ")] == [f"case {UUID(int=1)}", f"case {UUID(int=2)}"]
    assert lines[3].split()[1] == "high_risk"


def test_what_is_due_says_of_what_was_taken_up_when_it_must_end() -> None:
    one = review(1)
    assert due(one, NOW) == "in 5 min"
    assert due(one, NOW + timedelta(minutes=6)) == "60 s ago"
    assert due(replace(one, acknowledged_role="admin"), NOW) == "taken up"
    assert due(replace(one, acknowledged_role="admin", resolve_by=NOW + timedelta(hours=3)), NOW) == "end in 3 h"


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172800, "2 d")]
)
def test_a_span_is_told_in_the_largest_unit_of_which_it_holds_two(seconds: int, text: str) -> None:
    assert span(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("codes", "counted"),
    [
        (["acknowledged"], True),
        (["already_acknowledged", "role_unknown"], True),
        (["resolved", "role_too_low"], True),
        (["role_too_low"], False),
        (["acknowledged", "time_impossible"], False),
        (["unknown_escalation"], False),
    ],
)
def test_an_answer_to_a_case_counts_where_only_other_roles_are_left(codes: list[str], counted: bool) -> None:
    answers = [
        Answered(
            event_id=UUID(int=1),
            escalation_id=UUID(int=2),
            case_id=UUID(int=3),
            action=AcknowledgementAction.ACKNOWLEDGE,
            role="admin",
            code=code,
            refusal="",
            in_time=None,
        )
        for code in codes
    ]
    assert counts(answers) is counted
