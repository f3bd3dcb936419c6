"""Open reviews for a terminal of 80 columns: one block per case, most pressing first, each escalation on two lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from uuid import UUID

from ops.views.reviews import Review


def review_lines(reviews: Iterable[Review], now: datetime) -> Iterator[str]:
    """The lines, in the order of `reviews`; a case stands where its first review does.

    A line is longer than 80 characters only where a role's name has more than 21.
    """
    cases: dict[UUID, list[Review]] = {}
    for each in reviews:
        cases.setdefault(each.event.case_id, []).append(each)
    for case_id, open_ones in cases.items():
        yield f"case {case_id}"
        for each in open_ones:
            event = each.event
            yield (
                f"  {event.review_priority.value:<9}  {event.type.value:<17}  level {event.level:<2}"
                f"  {each.acknowledged_role or event.role:<21}  {due(each, now)}"
            )
            yield f"             {event.escalation_id}  waits {span(now - each.since)}"


def due(review: Review, now: datetime) -> str:
    """When an answer is due, of what somebody has taken up its resolution: `in 4 min`, `20 s ago`, `end in 3 h`."""
    if review.acknowledged_role is not None and review.resolve_by is None:
        return "taken up"
    left = (review.resolve_by or review.event.respond_by) - now
    when = f"in {span(left)}" if left > timedelta() else f"{span(-left)} ago"
    return when if review.acknowledged_role is None else f"end {when}"


def span(length: timedelta) -> str:
    """A length of time in the largest unit of which it holds two: `90 s`, `12 min`, `40 h`, `3 d`."""
    seconds = max(0, int(length.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
