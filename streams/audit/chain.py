"""The hashes of a case's entries, walked from what was ingested: which entries hang on nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.events import PipelineStage
from streams.audit.facts import EntryFact

#: Bytes of a hash that tell records of one case apart: 2¹²⁸ tries to forge a link are as good as never.
_SHORT = 16


@dataclass(slots=True)
class _Waiting:
    """An entry whose input has not been met (yet)."""

    fact: EntryFact
    judged: bool


class Links:
    """Entries come in any order, since those of one case lie on several partitions: each waits for its input."""

    def __init__(self) -> None:
        #: case id + output hash of entries that lead back to something ingested.
        self._reached: set[bytes] = set()
        self._waiting: dict[bytes, list[_Waiting]] = {}
        #: Hashes of what went to the dead letters as it came: its case may be told by the event or by the key.
        self._quarantined: set[bytes] = set()

    def add(self, fact: EntryFact, *, root: bool, judged: bool) -> None:
        """Take in an entry. `root`: nothing has to come before it. `judged`: a broken link is reported."""
        node = fact.case_id + fact.output[:_SHORT]
        if root:
            if fact.stage == PipelineStage.QUARANTINE:
                # As it came, and as the pointer to it where it was too large: what follows hangs on one of the two.
                self._quarantined.update({fact.input or fact.output, fact.output})
            self._reach(node)
        elif fact.input is not None and (parent := fact.case_id + fact.input[:_SHORT]) in self._reached:
            self._reach(node)
        else:
            parent = fact.case_id + (fact.input or b"")[:_SHORT]
            self._waiting.setdefault(parent, []).append(_Waiting(fact, judged))

    def broken(self) -> Iterator[EntryFact]:
        """Entries whose input is nobody's output: the first of each chain, since the rest follows from it."""
        for parent in [p for p, held in self._waiting.items() if any(w.fact.input in self._quarantined for w in held)]:
            self._reach(parent)
        produced = {w.fact.case_id + w.fact.output[:_SHORT] for held in self._waiting.values() for w in held}
        for parent in [parent for parent in self._waiting if parent not in produced]:
            yield from self._judged(parent)
            self._reach(parent)
        # What is left leads in a circle, which no honest hash does.
        for parent in list(self._waiting):
            yield from self._judged(parent)

    def _judged(self, parent: bytes) -> Iterator[EntryFact]:
        return iter([waiting.fact for waiting in self._waiting.get(parent, ()) if waiting.judged])

    def _reach(self, node: bytes) -> None:
        ahead = [node]
        while ahead:
            reached = ahead.pop()
            self._reached.add(reached)
            ahead += (w.fact.case_id + w.fact.output[:_SHORT] for w in self._waiting.pop(reached, ()))
