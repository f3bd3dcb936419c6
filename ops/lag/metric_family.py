"""A metric family as a value: declared once, filled from the lag figures, listed in the documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from ops.lag.figures import LagFigures

MetricSample = tuple[tuple[str, ...], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric family. `example` is the value that the generated documentation shows."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    example: tuple[str, ...] = ()
    value: float = 0
    kind: Literal["gauge", "counter"] = "gauge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A family together with the function that reads its samples from one refresh."""

    family: Family
    samples: Callable[[LagFigures], Iterable[MetricSample]]
