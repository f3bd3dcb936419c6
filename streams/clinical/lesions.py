"""What a model's finding says, read with suspicion: which classes are possible, how certain, and what is wrong with it.

A finding may come from an event, where values were checked, or from anywhere else; NaN, a class nobody knows or
probabilities that contradict the class become a `Problem`, never a mild answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from schemas.events import StageClass
from streams.clinical.policy import Problem

#: Rounding of a softmax, and of decimals written in JSON; a real difference between classes is far larger.
_ROUNDING = 1e-6
#: A sum of probabilities may exceed 1 by what seven values rounded to three decimals add up to.
_SUM_SLACK = 0.004


_CLASSES: Mapping[str, StageClass] = {stage.value: stage for stage in StageClass if stage is not StageClass.UNKNOWN}


class FindingLike(Protocol):
    """A finding of the model: `schemas.events.Finding`, or the unchecked `RawFinding`."""

    @property
    def stage(self) -> StageClass | None:
        """The class; None when the model abstained, `UNKNOWN` for one that nobody knows."""

    @property
    def confidence(self) -> float | None:
        """Calibrated probability of `stage`."""

    @property
    def probabilities(self) -> Mapping[str, float]:
        """Probability a class; empty when not given."""

    @property
    def abstained(self) -> str | None:
        """Why the model abstained, as a code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFinding:
    """A finding whose values nobody has checked; any float may be NaN or out of range."""

    stage: StageClass | None = None
    confidence: float | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    abstained: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """One finding, as the rules see it.

    `classes` are those whose rules apply: the model's own, and every worse or likelier one that cannot be told from it.
    `certainty` is the confidence in [0, 1] that the bands look at, None when there is none.
    """

    stage: StageClass | None
    confidence: float | None
    classes: frozenset[StageClass]
    certainty: float | None
    ambiguous: bool
    problems: frozenset[Problem]


def read_lesion(finding: FindingLike, ambiguous_within: float) -> Lesion:
    """The lesion that a finding describes; every finding has one.

    The certainty is the lower of the confidence and the class's own entry in `probabilities`: they should be equal, and
    where they are not, the more cautious one counts.
    """
    problems = set()
    stage = finding.stage
    if stage is None or finding.abstained is not None:
        problems.add(Problem.ABSTAINED)
        stage = None
    elif stage is StageClass.UNKNOWN:
        problems.add(Problem.UNKNOWN_CLASS)
        stage = None
    confidence = finding.confidence
    if confidence is not None and not 0.0 <= confidence <= 1.0:  # NaN fails every comparison
        problems.add(Problem.INVALID_CONFIDENCE)
        confidence = None
    elif confidence is None and Problem.ABSTAINED not in problems:
        problems.add(Problem.INVALID_CONFIDENCE)
    probabilities = _probabilities(finding.probabilities)
    if probabilities is None:
        problems.add(Problem.INVALID_PROBABILITIES)
        probabilities = {}
    if stage is None:
        return Lesion(
            stage=None,
            confidence=confidence,
            classes=frozenset(),
            certainty=None if Problem.ABSTAINED in problems else confidence,
            ambiguous=False,
            problems=frozenset(problems),
        )
    certainty = confidence if confidence is None else min(confidence, probabilities.get(stage, confidence))
    likelier, rival = _rivals(stage, certainty, probabilities, ambiguous_within)
    if likelier:
        problems.add(Problem.CLASS_NOT_MOST_PROBABLE)
    return Lesion(
        stage=stage,
        confidence=confidence,
        classes=frozenset({stage, *likelier, *rival} - ({StageClass.NONE} - {stage})),
        certainty=certainty,
        ambiguous=bool(rival),
        problems=frozenset(problems),
    )


def _probabilities(given: Mapping[str, float]) -> dict[StageClass, float] | None:
    """The probabilities by class, or None when they cannot be probabilities of our classes."""
    read: dict[StageClass, float] = {}
    for name, value in given.items():
        if name not in _CLASSES or not 0.0 <= value <= 1.0:
            return None
        read[_CLASSES[name]] = value
    return None if math.fsum(read.values()) > 1.0 + _SUM_SLACK else read


def _rivals(
    stage: StageClass, certainty: float | None, probabilities: Mapping[StageClass, float], within: float
) -> tuple[set[StageClass], set[StageClass]]:
    """The classes likelier than `stage`, and the injury that is too close to it to be told apart (or none)."""
    own = probabilities.get(stage, certainty)
    if own is None:
        return set(), set()
    others = {other: value for other, value in probabilities.items() if other is not stage}
    likelier = {other for other, value in others.items() if value > own + _ROUNDING}
    if stage is StageClass.NONE or not others:
        return likelier, set()
    second = max(others.values())
    if abs(own - second) > within + _ROUNDING:
        return likelier, set()
    close = {other for other, value in others.items() if value >= second - _ROUNDING}
    return likelier, close - {StageClass.NONE}
