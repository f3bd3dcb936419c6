"""What the rules decided about a case, and its one canonical form in JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass

from schemas.events import (
    EscalationRequest,
    ProtocolReference,
    Reason,
    Record,
    ReviewPriority,
    Severity,
    StageClass,
    Text,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do about a case. Deadlines are seconds from when the decision is made.

    `stage` and `confidence` are those of the lesion that governs, as the model measured them; `stage` is None when
    there is no class, or when the lesion is mucosal and so not staged. `review_priority` is that of the whole case, and
    `respond_within_s` its shortest deadline, whether or not there is an escalation. `escalations` are in the order of
    the policy; the `reasons` of each are codes out of the decision's own.
    """

    severity: Severity
    severity_label: Text
    stage: StageClass | None
    confidence: float | None
    mucosal: bool | None
    review_priority: ReviewPriority
    reasons: tuple[Reason, ...]
    recommendations: tuple[Text, ...]
    warnings: tuple[Text, ...]
    contraindications: tuple[Text, ...]
    notifications: tuple[Text, ...]
    escalations: tuple[EscalationRequest, ...]
    respond_within_s: int | None
    follow_up_s: int | None
    protocols: tuple[ProtocolReference, ...]
    policy_id: str
    policy_version: str
    policy_hash: str
    disclaimer: Text

    def to_dict(self) -> dict[str, object]:
        """The decision as plain JSON values; docs/grade.schema.json describes them."""
        return {
            "severity": self.severity.value,
            "severity_label": _plain(self.severity_label),
            "stage": None if self.stage is None else self.stage.value,
            "confidence": self.confidence,
            "mucosal": self.mucosal,
            "review_priority": self.review_priority.value,
            "respond_within_s": self.respond_within_s,
            "follow_up_s": self.follow_up_s,
            "reasons": [_plain(reason) for reason in self.reasons],
            "escalations": [_plain(request) for request in self.escalations],
            "recommendations": [_plain(text) for text in self.recommendations],
            "warnings": [_plain(text) for text in self.warnings],
            "contraindications": [_plain(text) for text in self.contraindications],
            "notifications": [_plain(text) for text in self.notifications],
            "protocols": [_plain(protocol) for protocol in self.protocols],
            "policy": {"id": self.policy_id, "version": self.policy_version, "hash": self.policy_hash},
            "disclaimer": _plain(self.disclaimer),
        }

    def to_json(self) -> bytes:
        """One line of UTF-8 JSON without a newline; the same decision has the same bytes."""
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _plain(record: Record) -> dict[str, object]:
    """A flat record in the plain values of its Avro binding: symbols as text, tuples as lists."""
    plain: dict[str, object] = record.__avro__.to_avro(record)
    return plain
