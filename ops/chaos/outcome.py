"""The plan of a campaign and its outcome, with the report as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ops.chaos.recovery import Recovery, percentile
from ops.chaos.values import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignPlan:
    """What a campaign does: its seed, its load, its faults, and the limits that the verifier applies."""

    seed: int = 1
    faults: int = 20
    cases: int = 2_000
    rate: float = 20.0
    brokers: int = 3
    #: Kafka release; None: the one that is shipped.
    kafka: str | None = None
    workers: int = 2
    late_after_s: float = 60.0
    #: Publishing ends after this long, even when fewer cases were published.
    duration_s: float = 3_600.0
    #: How long the pipeline may take to come to rest afterwards.
    settle_s: float = 300.0
    #: Where logs and topics are kept for a look afterwards; None: nowhere.
    keep: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignOutcome:
    """What a campaign measured, and the verdicts of the chaos verifier and of the audit's own verification."""

    plan: CampaignPlan
    verdict: Verdict
    audit: dict[str, Any]
    recoveries: Sequence[Recovery]
    cases: int
    records: int
    seconds: float
    restarts: int
    settled: bool
    #: Distinct records that no broker confirmed, and how often the load's producer was replaced after a fatal error.
    unconfirmed: int
    producers_replaced: int
    #: Whether the load ran to its planned end.
    flowed: bool

    @property
    def clean(self) -> bool:
        """Whether nothing was wrong, by the verifier and by the audit's own verification."""
        return self.verdict.clean and bool(self.audit.get("clean")) and self.settled and self.flowed and self.cases > 0

    def as_json(self) -> dict[str, Any]:
        """The report in plain values."""
        waits = [each.seconds for each in self.recoveries if each.cases]
        kinds = sorted({each.fault.kind for each in self.recoveries})
        of_kind = {kind: [r.seconds for r in self.recoveries if r.fault.kind == kind] for kind in kinds}
        return {
            "clean": self.clean,
            "plan": {name: value for name, value in asdict(self.plan).items() if name != "keep"},
            "cases": self.cases,
            "faults": len(self.recoveries),
            "records_read": self.records,
            "seconds": round(self.seconds, 1),
            "worker_restarts": self.restarts,
            "settled": self.settled,
            "flowed": self.flowed,
            "unconfirmed_inputs": self.unconfirmed,
            "producers_replaced": self.producers_replaced,
            "verdict": self.verdict.as_json(),
            "audit_verify": {name: self.audit.get(name) for name in ("clean", "entries", "broken", "notes")},
            "recovery_s": _summary(waits),
            "stuck_s": _summary(self.verdict.stuck_s),
            "recovery_by_fault_s": {kind: _summary(values) for kind, values in of_kind.items()},
            "fault_log": [
                {"kind": r.fault.kind, "target": r.fault.target, "at": round(r.fault.start, 3), "felt_by": r.cases}
                | {"recovery_s": round(r.seconds, 3)}
                for r in self.recoveries
            ],
        }


def _summary(seconds: Sequence[float]) -> dict[str, float]:
    return {
        "count": len(seconds),
        "p50": round(percentile(seconds, 0.5), 3),
        "p99": round(percentile(seconds, 0.99), 3),
        "max": round(max(seconds, default=0.0), 3),
    }
