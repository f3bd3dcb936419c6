"""What later events of a case repeat of earlier ones, named once: no stage then has to look anything up.

A field that shall reach people is added to the four records (case, inference, grading, escalation) and to one of the
tuples here; the stages copy by these names.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Final

#: Of a case, in each event that comes of it, unchanged.
CARRIED: Final = ("case_id", "lane", "captured_at", "published_at", "patient_token", "image", "synthetic")
#: Of a decision, in its grading and in each escalation that the grading asks for, unchanged. Reasons are not among
#: them: an escalation has only those that led to it.
DECIDED: Final = (
    "severity",
    "stage",
    "confidence",
    "policy_version",
    "policy_hash",
    "recommendations",
    "warnings",
    "contraindications",
    "follow_up_s",
    "protocols",
)

_carried = attrgetter(*CARRIED)
_decided = attrgetter(*DECIDED)


def carried(event: object) -> dict[str, Any]:
    """`CARRIED` of a case, inference, grading or escalation, as arguments for the next event of the case."""
    return dict(zip(CARRIED, _carried(event), strict=True))


def carried_where_known(event: object | None, otherwise: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `CARRIED` that this event has (any event, or None), else those of `otherwise`; the rest is left out."""
    return {
        name: getattr(event, name, otherwise.get(name)) for name in CARRIED if hasattr(event, name) or name in otherwise
    }


def decided(decision: object) -> dict[str, Any]:
    """`DECIDED` of a decision or of its grading, as arguments for the next event."""
    return dict(zip(DECIDED, _decided(decision), strict=True))
