"""The lag figures of one refresh: what the exporter serves, `vigia lag` prints and `vigia watch` draws."""

from __future__ import annotations

from dataclasses import dataclass

from ops.lag.broker_view import BrokerView
from ops.lag.evaluator import LagState


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLag:
    """The lag of one group on one partition."""

    group: str
    topic: str
    partition: int
    #: None: the group never committed here; it lags by everything there is.
    committed: int | None
    #: Readable records that the group has not read. Too high by at most `uncertain`, never too low.
    lag: int
    uncertain: int
    #: Age of the next readable record, seconds; 0 when there is none.
    lag_s: float
    records_in: float
    records_out: float
    #: Seconds until nothing is left at these rates; 0 without lag, infinite when it does not shrink.
    drain_s: float
    state: LagState
    #: A member of the group holds the partition.
    owned: bool
    #: Offsets that retention deleted before the group read them.
    lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LagFigures:
    """All lags of one refresh, and the view of the broker they were computed from."""

    view: BrokerView
    lags: tuple[GroupLag, ...]
    #: Seconds that the refresh took.
    took_s: float
    #: Offsets behind the last stable offsets that were not yet looked at (a large backlog right after the start).
    uncounted: int
    #: Pairs of group and partition that are not among `lags`, being too many.
    left_out: int = 0
