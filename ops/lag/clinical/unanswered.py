"""Escalations that nobody has answered, from what the topics say; pure, and bounded by what is open."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

#: Answers remembered although their escalation was not seen: topics are read side by side, so the answer may come
#: first.
ANSWERS_KEPT = 10_000
#: Outcomes of an acknowledgement that stop the clock (streams.clinical.acknowledgements.AckCode; a test compares).
ACCEPTED = frozenset({"acknowledged", "resolved", "already_acknowledged"})
MISSED = "deadline_missed"


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
    """Folds escalation events and the audit of what became of them into what is still unanswered."""

    def __init__(self) -> None:
        # Of a case, one escalation of a type is open at most: a more pressing one takes the place of the one before.
        self._open: dict[tuple[str, str], Unanswered] = {}
        self._key_of: dict[str, tuple[str, str]] = {}
        self._answered: OrderedDict[str, None] = OrderedDict()
        #: Deadlines that passed without an answer, by type of escalation.
        self.missed: dict[str, int] = defaultdict(int)

    def raised(self, seen: Unanswered) -> None:
        """An escalation was published, for the first time or to the next role."""
        if seen.escalation_id in self._answered:
            return
        key = (seen.case_id, seen.type)
        standing = self._open.get(key)
        if standing is not None:
            if standing.escalation_id == seen.escalation_id and seen.level < standing.level:
                return
            # The patient has been waiting since the first of them.
            seen = replace(seen, raised_ms=min(seen.raised_ms, standing.raised_ms))
            del self._key_of[standing.escalation_id]
        self._open[key] = seen
        self._key_of[seen.escalation_id] = key

    def audited(self, stage: str, outcome: str, escalation_id: str | None) -> None:
        """An audit entry of the escalation stage: an acknowledgement that counts, or a deadline that passed."""
        code, *parts = outcome.split(":")
        if stage == "acknowledgement" and code in ACCEPTED and escalation_id is not None:
            self._answer(escalation_id)
        elif stage == "escalation" and code == MISSED and parts:
            self.missed[parts[0]] += 1

    def __iter__(self) -> Iterator[Unanswered]:
        return iter(self._open.values())

    def __len__(self) -> int:
        return len(self._open)

    def _answer(self, escalation_id: str) -> None:
        self._answered[escalation_id] = None
        while len(self._answered) > ANSWERS_KEPT:
            self._answered.popitem(last=False)
        key = self._key_of.pop(escalation_id, None)
        if key is not None:
            del self._open[key]
