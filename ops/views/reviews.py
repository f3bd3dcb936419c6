"""The list of open reviews, made from the topics: what is open, which role must answer, and since when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from schemas.errors import InvalidEventError, UndecodableError
from schemas.events import AuditEntry, EscalationEvent, EscalationType, PipelineStage, ReviewPriority
from schemas.serde import Serde
from streams import topics
from streams.broker.log import read_log
from streams.clinical.ground_truth import GroundTruth
from streams.settings import Settings
from streams.stages.escalation.audit import UNRESOLVED
from streams.topics import AUDIT

#: Every open escalation is published again within hours where nobody takes it up, within days where somebody does:
#: what was published longer ago than this is no longer open.
LOOK_BACK = timedelta(days=37)
PRIORITIES: tuple[ReviewPriority, ...] = tuple(
    priority for priority in ReviewPriority if priority is not ReviewPriority.UNKNOWN
)
_OF_PEOPLE = f"/{PipelineStage.ACKNOWLEDGEMENT.value}/".encode()
_OF_CLOCK = f"/{PipelineStage.ESCALATION.value}/".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """An open escalation as a review that waits for people."""

    event: EscalationEvent
    #: When the case's first escalation of this type was raised.
    since: datetime
    acknowledged_role: str | None = None
    #: By when whoever took it up is to resolve it.
    resolve_by: datetime | None = None

    def overdue(self, now: datetime) -> bool:
        """Whether a deadline has passed: to answer, at this level or an earlier one, or to resolve it once taken up."""
        if self.acknowledged_role is not None:
            return self.resolve_by is not None and self.resolve_by <= now
        return self.event.level > 0 or self.event.respond_by <= now


class WorkList:
    """Folds escalations and audit entries into the open reviews. Take in escalations first: an answer needs its own."""

    def __init__(self) -> None:
        # At most one escalation per case and type is open.
        self._open: dict[tuple[UUID, EscalationType], Review] = {}

    def raised(self, event: EscalationEvent) -> None:
        """Take in an escalation that was published: a new one, its next level, or one that replaces another."""
        if event.synthetic:
            return
        key = (event.case_id, event.type)
        current = self._open.get(key)
        since = event.raised_at if current is None else min(current.since, event.raised_at)
        self._open[key] = Review(event=event, since=since)

    def audited(self, entry: AuditEntry) -> None:
        """Take in an audit entry; only answers that count change anything, and the time to resolve that passed."""
        escalation_id = entry.attributes.get("escalation_id")
        again = entry.stage is PipelineStage.ESCALATION and entry.outcome.startswith(f"{UNRESOLVED}:")
        answered = entry.stage is PipelineStage.ACKNOWLEDGEMENT and entry.outcome in ("acknowledged", "resolved")
        key = next((k for k, r in self._of_case(entry.case_id) if str(r.event.escalation_id) == escalation_id), None)
        if key is None or not (again or answered):
            return
        if entry.outcome == "resolved":
            del self._open[key]
        elif again:
            self._open[key] = replace(self._open[key], acknowledged_role=None, resolve_by=None)
        else:
            by = entry.attributes.get("resolve_by")
            self._open[key] = replace(
                self._open[key],
                acknowledged_role=entry.attributes.get("role"),
                resolve_by=None if by is None else datetime.fromisoformat(by),
            )

    def reviews(self) -> list[Review]:
        """The open reviews: most pressing priority first, then the earliest deadline."""
        rank: dict[ReviewPriority, int] = {priority: number for number, priority in enumerate(PRIORITIES)}
        return sorted(
            self._open.values(),
            key=lambda each: (rank[each.event.review_priority], each.event.respond_by, each.event.escalation_id),
        )

    def _of_case(self, case_id: UUID) -> Iterable[tuple[tuple[UUID, EscalationType], Review]]:
        return [(key, self._open[key]) for kind in EscalationType if (key := (case_id, kind)) in self._open]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of a list of reviews at one time."""

    pending: int
    overdue: int
    acknowledged: int
    oldest: datetime | None
    by_role: dict[str, int]
    by_priority: dict[str, int]


def summary(reviews: Iterable[Review], now: datetime) -> Summary:
    """The figures of `reviews`: `pending` ones wait for an answer, `acknowledged` ones to be resolved."""
    listed = list(reviews)
    pending = [each for each in listed if each.acknowledged_role is None]
    return Summary(
        pending=len(pending),
        overdue=sum(each.overdue(now) for each in listed),
        acknowledged=len(listed) - len(pending),
        oldest=min((each.since for each in pending), default=None),
        by_role=dict(Counter(each.event.role for each in pending).most_common()),
        by_priority=dict(Counter(each.event.review_priority.value for each in pending).most_common()),
    )


def read_reviews(settings: Settings, now: datetime) -> list[Review]:
    """The open reviews, read from the topics. Raises ClientError, RegistryUnavailableError."""
    work = WorkList()
    serde = Serde(settings.schema_registry_url)
    # The audit last, so that every answer finds its escalation.
    for names, wanted in ((topics.ESCALATIONS.values(), None), ((AUDIT,), (_OF_PEOPLE, _OF_CLOCK))):
        for message in read_log(settings, names, now - LOOK_BACK):
            value, key = message.value(), message.key() or b""
            if value is None or (wanted is not None and not any(part in key for part in wanted)):
                continue
            try:
                event = serde.decode(value, message.topic() or "")
            except (UndecodableError, InvalidEventError):
                continue
            if isinstance(event, EscalationEvent):
                work.raised(event)
            elif isinstance(event, AuditEntry):
                work.audited(event)
    return work.reviews()


def read_ground_truth(settings: Settings) -> GroundTruth:
    """All stagings by clinicians, read from the audit topic. Raises ClientError, RegistryUnavailableError."""
    truth = GroundTruth()
    serde = Serde(settings.schema_registry_url)
    for message in read_log(settings, (AUDIT,)):
        value = message.value()
        if value is None or _OF_PEOPLE not in (message.key() or b""):
            continue
        try:
            entry = serde.decode(value, AUDIT)
        except (UndecodableError, InvalidEventError):
            continue
        if isinstance(entry, AuditEntry):
            truth.audited(entry)
    return truth
