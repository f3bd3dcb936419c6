"""One picture from a seed: the same seed and index give the same bytes, on every run of the same library versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from inference.findings import CLASSES
from inference.synthetic.body import LINEN, LOCATIONS, paint_body, paint_surface
from inference.synthetic.camera import ORDINARY, SHIFTED, CameraRange, encode_jpeg, photograph
from inference.synthetic.canvas import Canvas
from inference.synthetic.fields import Field
from inference.synthetic.lesions import DRAWERS, place
from inference.synthetic.objects import COMMON, UNSEEN

DistributionName = Literal["ordinary", "shifted"]

#: Side of a generated picture in pixels: twice what the model sees, so that reduced-scale decoding has something to
#: reduce.
SIZE: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """What pictures are drawn from. `scale` and `spread` place the lesion, in half picture widths."""

    name: DistributionName
    camera: CameraRange
    scale: tuple[float, float]
    spread: float
    linen: tuple[str, ...]
    objects: Mapping[str, float]


_COMMON: Final = {name: chance for name, (_, chance) in COMMON.items()}
_UNSEEN: Final = {name: chance for name, (_, chance) in UNSEEN.items()}

#: What the model is trained on, and a second world that training never sees: other light, cameras, linen, things,
#: and placing.
DISTRIBUTIONS: Final[Mapping[str, Distribution]] = MappingProxyType(
    {
        "ordinary": Distribution(
            name="ordinary", camera=ORDINARY, scale=(0.20, 0.62), spread=0.16, linen=LINEN, objects=_COMMON
        ),
        "shifted": Distribution(
            name="shifted",
            camera=SHIFTED,
            scale=(0.16, 0.72),
            spread=0.26,
            linen=("8c5a4a", "c94f4f", "d8b25a", "1f1f24", "7a7f58", "b9a08c", "7d4f86"),
            objects={**{name: 1.3 * chance for name, chance in _COMMON.items()}, **_UNSEEN},
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A generated picture and all that is known of it.

    `pixels` (s, s, 3) RGB uint8 before JPEG; masks (s, s) float32 0–1 as in `Canvas`; `variant` names the class's
    subtype; `nuisances` what else is in the picture; `facts` numbers of light and camera.
    """

    seed: int
    index: int
    distribution: DistributionName
    stage: str
    variant: str
    monk: int
    location: str
    pixels: NDArray[np.uint8]
    lesion: Field
    bed: Field
    covered: Field
    tissue: Mapping[str, Field]
    nuisances: tuple[str, ...]
    facts: Mapping[str, float]

    def jpeg(self) -> bytes:
        """Return the picture as the camera would have stored it."""
        return encode_jpeg(self.pixels, int(self.facts["jpeg"]))


def picture(
    seed: int,
    index: int,
    *,
    distribution: DistributionName = "ordinary",
    stage: str | None = None,
    monk: int | None = None,
    size: int = SIZE,
) -> Picture:
    """Render picture `index` of the series `seed`.

    Unless given, the class goes round by index, so that any run of seven is balanced, and tone and location are
    drawn at random. Raises `ValueError` for an unknown class or a tone outside 1–10.
    """
    world = DISTRIBUTIONS[distribution]
    rng = np.random.default_rng([seed, index, int(distribution == "shifted")])
    drawn_monk, location = int(rng.integers(1, 11)), str(rng.choice(list(LOCATIONS)))
    stage = CLASSES[index % len(CLASSES)] if stage is None else stage
    monk = drawn_monk if monk is None else monk
    if stage not in DRAWERS or not 1 <= monk <= 10:
        raise ValueError("a picture needs a known class and a Monk tone from 1 to 10")

    canvas = Canvas.blank(size)
    paint_body(rng, canvas, monk, location, world.linen)
    inside = place(rng, size, scale=world.scale, spread=world.spread)
    variant = DRAWERS[stage](rng, canvas, inside, monk)
    nuisances = paint_surface(rng, canvas, monk)
    for name, chance in world.objects.items():
        if rng.random() < chance:
            (COMMON.get(name) or UNSEEN[name])[0](rng, canvas)
            nuisances.append(name)
    pixels, facts = photograph(rng, canvas, world.camera)
    return Picture(
        seed=seed,
        index=index,
        distribution=distribution,
        stage=stage,
        variant=variant,
        monk=monk,
        location=location,
        pixels=pixels,
        lesion=canvas.lesion,
        bed=canvas.bed,
        covered=canvas.covered,
        tissue=MappingProxyType(canvas.tissue),
        nuisances=tuple(sorted(nuisances)),
        facts=MappingProxyType(facts),
    )
