"""One moment of a running system as a value, made from lag figures, clinical figures and the lag's last minute."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ops.lag.clinical.figures import ClinicalFigures, Waiting
from ops.lag.clinical.unanswered import Unanswered
from ops.lag.figures import GroupLag, LagFigures
from ops.lag.table import as_mapping, summed
from ops.system.programs import expected_groups

#: Refreshes that a sparkline shows, at one per second.
HISTORY = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSummary:
    """One consumer group over all of its topics; `history` is its lag in records, oldest first."""

    group: str
    members: int
    total: GroupLag
    history: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The system at one moment. `stages` is None when the broker is away, `clinical` when broker or registry is."""

    #: Seconds since the epoch.
    at: float
    trouble: str
    brokers: int
    stages: tuple[StageSummary, ...] | None
    clinical: ClinicalFigures | None


class History:
    """The lag of each group over the last minute."""

    def __init__(self) -> None:
        self._lags: dict[str, deque[int]] = defaultdict(lambda: deque(maxlen=HISTORY))

    def stages(self, figures: LagFigures) -> tuple[StageSummary, ...]:
        """One summary per group: the pipeline's own in its order, then the others by name."""
        by_group: dict[str, list[GroupLag]] = defaultdict(list)
        for lag in figures.lags:
            by_group[lag.group].append(lag)
        stages = []
        for group in _in_order(by_group):
            total = _total(by_group[group])
            self._lags[group].append(total.lag)
            known = figures.view.groups.get(group)
            members = known.members if known is not None else 0
            stages.append(StageSummary(group=group, members=members, total=total, history=tuple(self._lags[group])))
        return tuple(stages)


def as_json(snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot in plain values for JSON. Times are seconds; what is not known is null."""
    clinical = snapshot.clinical
    return {
        "at": round(snapshot.at, 3),
        "trouble": snapshot.trouble or None,
        "stages": None if snapshot.stages is None else [_stage(stage) for stage in snapshot.stages],
        "waiting": None if clinical is None else [_waiting(one) for one in clinical.waiting],
        "escalations": None if clinical is None else [_escalation(one, snapshot.at) for one in clinical.unanswered],
        "missed_deadlines": None if clinical is None else dict(clinical.missed),
    }


def _stage(stage: StageSummary) -> Mapping[str, Any]:
    kept = {
        key: value for key, value in as_mapping(stage.total).items() if key not in ("topic", "partition", "committed")
    }
    return {**kept, "group": stage.group, "members": stage.members}


def _waiting(one: Waiting) -> Mapping[str, Any]:
    return {"step": one.step, "lane": one.lane, "cases": one.cases, "oldest_s": round(one.oldest_s, 3)}


def _escalation(one: Unanswered, now: float) -> Mapping[str, Any]:
    return {
        "escalation_id": one.escalation_id,
        "case_id": one.case_id,
        "type": one.type,
        "priority": one.priority,
        "role": one.role,
        "level": one.level,
        "waiting_s": round(now - one.raised_ms / 1_000, 3),
        "seconds_to_deadline": round(one.respond_by_ms / 1_000 - now, 3),
    }


def _in_order(groups: Iterable[str]) -> Sequence[str]:
    ours = list(expected_groups())
    return sorted(groups, key=lambda group: (ours.index(group) if group in ours else len(ours), group))


def _total(parts: Sequence[GroupLag]) -> GroupLag:
    """All topics of a group as one: records and rates added, the oldest age, the worst state."""
    topics = summed(parts)
    return topics[0] if len(topics) == 1 else summed([_renamed(topic) for topic in topics])[0]


def _renamed(topic: GroupLag) -> GroupLag:
    return replace(topic, topic="")
