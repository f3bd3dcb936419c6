"""Which records are held back when a partition is taken over, and why. Functions of values.

Three things are known of what happened before: how many owners began at a place and died (`deaths`), with which records
in hand a worker froze (`freezes`), and how often one died with a single record in hand that a process of its own had
handled well (here: *alone*).
"""

from __future__ import annotations

from dataclasses import dataclass

from faust.types import TP

from streams.runtime.deaths import SUSPICIOUS, Start
from streams.runtime.orders import SkipOrder
from streams.runtime.records import InputProblem

#: Name of the note that says which record a worker took up alone, and how often: in the form of `deaths`.
ALONE = b"alone"
#: Deaths with one record and nothing else in hand, after which it is laid aside although it is sound elsewhere. Each
#: must fall into the moment in which that record is handled: whoever kills workers for another reason, every few
#: seconds, does not hit it thrice, and where memory is short the process that tries it dies first.
ALONE_DEATHS = 3
#: Batches that may have been in flight: taken up, and buffered behind that.
BATCHES = 3
KILLS = InputProblem(
    reason="kills_worker",
    detail=f"a process that tried it alone handled it well, and {ALONE_DEATHS} workers died with nothing else in hand",
)


@dataclass(frozen=True, slots=True)
class Window:
    """Records of a topic-partition that are held back: those from `offset` up to, not including, `end`."""

    tp: TP
    offset: int
    end: int
    #: Why the first of them is laid aside untried; None: it is tried, as all others are.
    first: InputProblem | None = None
    #: Whether each is written down before a worker takes it up, alone: it has died of one of them that was tried.
    alone: bool = False
    #: Whether it is held back for one freeze only: once whatever caused that is found, the others are innocent.
    for_freeze: bool = False
    #: Whether that was found.
    found: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """What is known of one topic of a partition, apart from where its owner begins."""

    order: SkipOrder | None = None
    #: First and last offset that were in hand when a worker froze.
    froze: tuple[int, int] | None = None
    alone: Start | None = None


def window(tp: TP, start: Start, known: Traces, *, max_batch: int, can_try: bool) -> Window | None:
    """What is held back of one topic; None where it is read in the ordinary way. `can_try`: whether records can be
    tried in a process of their own."""
    suspicious, most = start.deaths >= SUSPICIOUS, BATCHES * max_batch
    frozen = known.froze is not None and known.froze[1] >= start.offset
    alone = known.alone.count if known.alone is not None and known.alone.offset == start.offset else 0
    end = start.offset + 1
    if suspicious:
        end = start.offset + most
    elif frozen and known.froze is not None:
        # Offsets have gaps; a span that no batch can have is not believed.
        end = min(known.froze[1] + 1, start.offset + most)
    # It was tried before, and a worker died again.
    careful = frozen or alone > 0 or start.deaths > SUSPICIOUS
    if known.order is not None and known.order.offset == start.offset:
        return Window(tp, start.offset, end, InputProblem(reason="skipped", detail=known.order.reason), careful)
    if not can_try or not (suspicious or frozen or alone):
        return None
    first = KILLS if alone >= ALONE_DEATHS else None
    return Window(tp, start.offset, end, first, careful, for_freeze=frozen and not suspicious and not alone)
