"""Where a case's audit lies, and what may be missing from it without anything being wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

#: Outcome of the entry that is left of an erased case, and of the one about a record sent again from the dead letters.
ERASED: Final = "erased"
REDRIVEN: Final = "redriven"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What may be missing without anything being wrong.

    `kept_since`: topic → milliseconds since the epoch; what is older may have been deleted by retention (0: nothing).
    `taken_up`: (topic, partition) → the offset up to which its stage has committed; what lies behind it is pending.
    `settled`: audit partition → the offset before which an entry's record must be among the records given.
    `partitions`: of every topic; a case's entries lie on the partition of its id (0: not looked at).
    """

    kept_since: Mapping[str, int] = field(default_factory=dict)
    taken_up: Mapping[tuple[str, int], int] = field(default_factory=dict)
    settled: Mapping[int, int] = field(default_factory=dict)
    partitions: int = 0
