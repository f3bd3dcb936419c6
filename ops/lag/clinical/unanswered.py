"""Which escalations nobody has answered, folded from escalation events and audit entries; no I/O.

Memory is bounded by the number of open escalations and `ANSWERS_KEPT`.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from schemas.envelope.audit import ACCEPTED
from schemas.envelope.dead_letter import number_of
from schemas.events import EscalationType

#: Answers remembered although their escalation was not yet seen: topics are read concurrently, so the answer may come
#: first.
ANSWERS_KEPT = 10_000
#: Codes of the clock's own entries.
MISSED, UNRESOLVED = "deadline_missed", "unresolved"
_ANY_LEVEL = 1 << 30
_TYPES = frozenset(kind.value for kind in EscalationType)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """One open escalation. Times are milliseconds since the epoch."""

    escalation_id: str
    case_id: str
    type: str
    priority: str
    role: str
    level: int
    raised_ms: int
    respond_by_ms: int


class Escalations:
    """Folds escalation events and their audit entries into the escalations that are still unanswered."""

    def __init__(self) -> None:
        # At most one escalation per case and type is open: a more pressing one replaces the one before.
        self._open: dict[tuple[str, str], Unanswered] = {}
        #: One per escalation; more where somebody puts another's id on an event.
        self._keys_of: dict[str, set[tuple[str, str]]] = {}
        #: Escalation → the level at which it was taken up or resolved.
        self._answered: OrderedDict[str, int] = OrderedDict()
        #: Deadlines that passed without an answer, by type of escalation.
        self.missed: dict[str, int] = defaultdict(int)
        #: Escalations that were taken up and not resolved in time, by type.
        self.unresolved: dict[str, int] = defaultdict(int)

    def take_event(self, event: Mapping[str, Any]) -> None:
        """An escalation event (`ops.lag.clinical.projection`), whatever stands in it."""
        self.raised(
            Unanswered(
                escalation_id=event["escalation_id"],
                case_id=event["case_id"],
                type=event["type"],
                priority=event["review_priority"],
                role=event["role"],
                level=event["level"],
                raised_ms=event["raised_at"] // 1_000,
                respond_by_ms=event["respond_by"] // 1_000,
            )
        )

    def take_entry(self, entry: Mapping[str, Any]) -> None:
        """An audit entry, whatever stands in it."""
        level = number_of(entry["attributes"].get("level", "").encode(), default=-1)
        self.audited(entry["stage"], entry["outcome"], entry["source_event_id"], None if level < 0 else level)

    def raised(self, seen: Unanswered) -> None:
        """An escalation was published, for the first time or to the next role."""
        if seen.level <= self._answered.get(seen.escalation_id, -1):
            return
        # Asked again after it was taken up: nobody resolved it.
        self._answered.pop(seen.escalation_id, None)
        key = (seen.case_id, seen.type)
        current = self._open.get(key)
        if current is not None:
            if current.escalation_id == seen.escalation_id and seen.level < current.level:
                return
            # The patient has been waiting since the first of them.
            seen = replace(seen, raised_ms=min(seen.raised_ms, current.raised_ms))
            self._forget(current.escalation_id, key)
        self._open[key] = seen
        self._keys_of.setdefault(seen.escalation_id, set()).add(key)

    def audited(self, stage: str, outcome: str, escalation_id: str | None, level: int | None = None) -> None:
        """An audit entry of the escalation stage: an acknowledgement that counts, or a deadline that passed.

        `level` is that of the escalation when it was answered; None, as in entries of earlier versions: whatever it is.
        """
        code, *parts = outcome.split(":")
        if stage == "acknowledgement" and code in ACCEPTED and escalation_id is not None:
            self._answer(escalation_id, _ANY_LEVEL if level is None or code == "resolved" else level)
        elif stage == "escalation" and code == MISSED and parts:
            self.missed[_type(parts[0])] += 1
        elif stage == "escalation" and code == UNRESOLVED and parts:
            self.unresolved[_type(parts[0])] += 1

    def __iter__(self) -> Iterator[Unanswered]:
        return iter(self._open.values())

    def __len__(self) -> int:
        return len(self._open)

    def _answer(self, escalation_id: str, level: int) -> None:
        self._answered[escalation_id] = max(level, self._answered.get(escalation_id, -1))
        while len(self._answered) > ANSWERS_KEPT:
            self._answered.popitem(last=False)
        for key in list(self._keys_of.get(escalation_id, ())):
            if self._open[key].level <= level:
                del self._open[key]
                self._forget(escalation_id, key)

    def _forget(self, escalation_id: str, key: tuple[str, str]) -> None:
        keys = self._keys_of[escalation_id]
        keys.discard(key)
        if not keys:
            del self._keys_of[escalation_id]


def _type(told: str) -> str:
    # What anybody writes into an outcome must not become a metric's label.
    return told if told in _TYPES else EscalationType.UNKNOWN.value
