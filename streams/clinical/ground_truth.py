"""What clinicians' own staging says about the model's: agreement, under-staging and over-staging a model version.

A resolved escalation carries the clinician's staging, the ground truth. It is joined with the model's in the escalation
stage, and stands in the audit entry of the acknowledgement (`model_version`, `model_stage`, `true_stage`, `agreement`),
so that the running figures can be made again from the log at any time.

Only cases that were escalated and staged are counted: this is no sample of all pictures, and says so where it is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from schemas.events import AuditEntry, PipelineStage, StageClass

#: Depth of tissue loss, least and most. An unstageable lesion is full-thickness by definition (npiap-2016): stage 3 or
#: 4 below its slough; a deep tissue injury has no depth yet, so only against `none` is it deeper or less deep.
_DEPTH: Mapping[StageClass, tuple[int, int]] = {
    StageClass.NONE: (0, 0),
    StageClass.STAGE_1: (1, 1),
    StageClass.STAGE_2: (2, 2),
    StageClass.STAGE_3: (3, 3),
    StageClass.STAGE_4: (4, 4),
    StageClass.UNSTAGEABLE: (3, 4),
    StageClass.DTPI: (1, 4),
}


class Relation(StrEnum):
    """The model's class against the clinician's."""

    AGREEMENT = "agreement"
    UNDER_STAGING = "under_staging"
    OVER_STAGING = "over_staging"
    #: Different classes of which neither is deeper than the other, or no class of the model at all.
    NOT_COMPARABLE = "not_comparable"


def compare(model: StageClass | None, truth: StageClass | None) -> Relation:
    """What the clinician's staging says of the model's. None (no class given, or not staged) is never an agreement."""
    if model is None or truth is None or model not in _DEPTH or truth not in _DEPTH:
        return Relation.NOT_COMPARABLE
    if model is truth:
        return Relation.AGREEMENT
    (model_least, model_most), (least, most) = _DEPTH[model], _DEPTH[truth]
    if model_most < least:
        return Relation.UNDER_STAGING
    if model_least > most:
        return Relation.OVER_STAGING
    return Relation.NOT_COMPARABLE


@dataclass(slots=True)
class Agreement:
    """Running counts of one model version."""

    counts: Counter[Relation] = field(default_factory=Counter)

    @property
    def staged(self) -> int:
        """Cases that a clinician staged and the model had a class for, comparable or not."""
        return sum(self.counts.values())

    @property
    def share(self) -> float | None:
        """Part of the staged cases in which both gave the same class; None before the first."""
        return self.counts[Relation.AGREEMENT] / self.staged if self.staged else None


class GroundTruth:
    """Folds audit entries into counts per model version. A case counts once, by its newest staging."""

    def __init__(self) -> None:
        self._of_case: dict[UUID, tuple[str, Relation]] = {}

    def audited(self, entry: AuditEntry) -> None:
        """Take in an audit entry; anything but a resolution with a staging is left out."""
        relation = entry.attributes.get("agreement")
        if entry.stage is not PipelineStage.ACKNOWLEDGEMENT or entry.outcome != "resolved" or relation is None:
            return
        # A case may have several escalations, each resolved with the same look at the same wound.
        self._of_case[entry.case_id] = (entry.attributes.get("model_version", "none"), Relation(relation))

    def by_version(self) -> dict[str, Agreement]:
        """Counts per model version, in the order of their names."""
        found: dict[str, Agreement] = {}
        for version, relation in sorted(self._of_case.values()):
            found.setdefault(version, Agreement()).counts[relation] += 1
        return found
