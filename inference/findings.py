"""What the model says about one picture, and the ways in which it may decline to say anything.

A picture has one of three outcomes, and they are never confused: a `Finding` with a class, a `Finding` that abstains
(the picture was read, but must be looked at by a person), or an `ImageProblem` (the bytes are no usable picture). A
model that itself fails raises `ModelError`; no outcome is ever made up for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from inference.errors import InferenceError

if TYPE_CHECKING:
    from inference.explain import HeatMap

#: The classes (NPIAP 2016) in the order of the model's outputs.
CLASSES: Final[tuple[str, ...]] = ("none", "stage_1", "stage_2", "stage_3", "stage_4", "unstageable", "dtpi")

#: How severe a class is, for the cost of confusing two of them. Unstageable hides a stage 3 or 4 (NPIAP), deep
#: tissue injury may turn into one; both therefore rank between stage 2 and stage 4.
SEVERITY: Final[Mapping[str, float]] = MappingProxyType(
    {"none": 0.0, "stage_1": 1.0, "stage_2": 2.0, "dtpi": 2.5, "stage_3": 3.0, "unstageable": 3.5, "stage_4": 4.0}
)


class AbstainReason(StrEnum):
    """Why a readable picture got no class: stable codes, which policies, metrics and audit entries carry."""

    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    BLURRED = "blurred"
    ODD_SHAPE = "odd_shape"
    NOT_A_WOUND = "not_a_wound"
    UNFAMILIAR = "unfamiliar"


class ProblemCode(StrEnum):
    """Why bytes are no usable picture. The values are stable codes."""

    EMPTY = "empty"
    NOT_AN_IMAGE = "not_an_image"
    UNSUPPORTED = "unsupported"
    TRUNCATED = "truncated"
    DECOMPRESSION_BOMB = "decompression_bomb"
    TOO_LARGE = "too_large"
    TOO_SMALL = "too_small"
    ANIMATED = "animated"
    #: The process that decoded it died, or none could be started.
    DECODER_FAILED = "decoder_failed"
    #: It was not decoded within its time.
    DECODER_TIMEOUT = "decoder_timeout"


class ImageProblem(Exception):
    """The bytes cannot be judged; `code` says why. Returned as a value by the predictor, raised by `inference.decode`.

    The text names sizes and formats only, never a file name: it may go into logs and dead letters.
    """

    def __init__(self, code: ProblemCode, detail: str) -> None:
        super().__init__(f"{code.value}: {detail}")
        self.code = code
        self.detail = detail


class ModelError(InferenceError):
    """The model could not be loaded, failed while running, or produced what is no probability (NaN, infinity)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRegion:
    """A box in the picture after EXIF orientation, in fractions of its width and height (0–1, origin top left)."""

    x: float
    y: float
    w: float
    h: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one model version says about one picture.

    `stage` and `confidence` are both None exactly when `abstained` holds a reason code. `probabilities` are
    calibrated, one for each of `CLASSES`, and are empty when the picture was never shown to the model. `quality`
    holds plain measurements (see `inference.quality`). `region` and `heat` say where in the picture the evidence for
    `stage` lies.
    """

    stage: str | None
    confidence: float | None
    probabilities: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    abstained: str | None = None
    quality: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    model_version: str
    region: EvidenceRegion | None = None
    heat: HeatMap | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if (self.stage is None) != (self.abstained is not None) or (self.stage is None) != (self.confidence is None):
            raise ValueError(
                "a finding has a stage and a confidence, or a reason to abstain, never both and never neither"
            )
