"""What each class shows (NPIAP 2016), from plain textbook pictures to the neighbours that clinicians argue about.

Every class draws its signs from ranges that touch or overlap those of its neighbours: a faint stage 1 and a flush, a
fibrinous stage 2 and a shallow stage 3, a stage 3 under half covered by slough and an unstageable one, a dusky stage
1 and a deep tissue injury.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from inference.synthetic.broken import stage_2, stage_3, stage_4, unstageable
from inference.synthetic.canvas import Canvas
from inference.synthetic.fields import Field, outline
from inference.synthetic.intact import dtpi, none, stage_1

Drawer = Callable[[np.random.Generator, Canvas, Field, int], str]


def place(rng: np.random.Generator, size: int, *, scale: tuple[float, float], spread: float) -> Field:
    """Return the depth field of a lesion with a radius within `scale`, off the middle by about `spread`."""
    radius = math.exp(float(rng.uniform(math.log(scale[0]), math.log(scale[1]))))
    room = max(0.0, 0.85 - radius)
    centre = np.clip(rng.normal(0, spread, 2), -room, room)
    return outline(
        rng,
        size,
        centre=(float(centre[0]), float(centre[1])),
        radius=radius,
        aspect=float(rng.uniform(1.0, 2.0)),
        angle=float(rng.uniform(0, math.pi)),
        roughness=float(rng.uniform(0.04, 0.20)),
    )


#: Drawer of each class, by its name in `inference.findings.CLASSES`.
DRAWERS: Final[Mapping[str, Drawer]] = MappingProxyType(
    {
        "none": none,
        "stage_1": stage_1,
        "stage_2": stage_2,
        "stage_3": stage_3,
        "stage_4": stage_4,
        "unstageable": unstageable,
        "dtpi": dtpi,
    }
)
