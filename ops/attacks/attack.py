"""What an attack is: a name, what it puts where, and what must be true afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ops.attacks.field import Field

#: Seconds that an emergency may wait behind anything.
WAITS_AT_MOST_S = 10.0
#: MiB that a worker and what it has started may take together.
MEMORY_AT_MOST_MIB = 600.0

Strike = Callable[[Field], None]
#: What is wrong afterwards, in a few words; "" where nothing is.
Look = Callable[[Field], str]


def _nothing(_: Field) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Attack:
    """`strike` does it; what it sends through `Field.send` must be answered, unless it is sent with `heard=False`.

    `after` looks at what else must hold, once the emergency behind it was escalated and all was answered.
    """

    #: Which finding of the review it repeats; "own" for one that nobody had named.
    origin: str
    strike: Strike
    after: Look = _nothing


Attacks = Mapping[str, Attack]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackOutcome:
    """What became of an attack. Times are the broker's, in seconds; None: not within the patience."""

    name: str
    origin: str
    #: From the sound emergency's record to the first escalation of its case.
    waited_s: float | None
    #: Hostile records that had to be answered, and those that were not.
    sent: int
    unanswered: int
    #: Answers without an entry in the audit.
    unaudited: int
    restarts: int
    #: The most that a worker and its children had together, and the largest single process.
    peak_mib: float
    wrong: str = ""
    #: Why the attack could not be made: broker or registry refused it.
    refused: str = ""
    #: Whether the system had to be replaced, as it did not serve any more.
    killed: bool = False

    @property
    def defects(self) -> Sequence[str]:
        """What an attack must not achieve and did."""
        found = []
        if self.waited_s is None:
            found.append("the emergency was not escalated")
        elif self.waited_s > WAITS_AT_MOST_S:
            found.append(f"the emergency waited {self.waited_s:.0f} s")
        if self.unanswered:
            found.append(f"nobody was asked about {self.unanswered} of {self.sent}")
        if self.unaudited:
            found.append(f"{self.unaudited} answers are not in the audit")
        if self.peak_mib > MEMORY_AT_MOST_MIB:
            found.append(f"{self.peak_mib:.0f} MiB")
        if self.wrong:
            found.append(self.wrong)
        if self.killed:
            found.append("the system did not serve any more")
        return found
