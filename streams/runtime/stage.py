"""What a stage is to the runtime: its name, where it reads, and a function from records to results.

A stage never sends, never acknowledges and never reads a clock for a decision. It returns what shall happen, and the
runtime makes it happen once.

A partition is the same number in every topic that a stage reads: records of one case lie on the same one everywhere, so
one state per partition number serves all of them.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from schemas.envelope.raw import RawRecord
from schemas.errors import ContractError
from schemas.record import Record
from streams.runtime.records import EventT, Input, InputProblem, Result, StateChange, StateT

logger = logging.getLogger(__name__)


#: Why a record is laid aside that was not handled within its time.
OVERDUE = "handling_timeout"
#: Times its patience that a stage may take for one record: to wait for one thing that is away and then for another, and
#: for what it does itself.
PATIENCES = 2.5

EventT_contra = TypeVar("EventT_contra", bound=Record, contravariant=True)


class Later(Protocol[EventT_contra]):
    """A result that comes after its input was completed, as that of a message which is tried for a minute."""

    def __call__(self, raw: RawRecord, event: EventT_contra, result: Result, state: Sequence[StateChange]) -> bool:
        """Carry out the result of the input `raw`, and these changes of state whether it is a problem or not.

        False where the partition is not held any more: its next owner finds the state as it was.
        """


class Stage(ABC, Generic[EventT, StateT]):
    """One stream processor: `EventT` are the events it reads, `StateT` what it keeps per partition.

    Subclasses are thin: the runtime has decoded, they call the domain and name the outputs.
    """

    #: Short name: metric label, part of the group id and of the state topic's name.
    name: str
    #: Topics read; all have the same partition count and key.
    inputs: tuple[str, ...]
    #: Events that may come on them; anything else is foreign, however well-formed.
    accepts: tuple[type[EventT], ...]
    #: An event that comes twice (same event id) is left out the second time. All of `accepts` must have an event id.
    deduplicates: bool = False
    #: Events per batch at most, and how long an incomplete batch waits for more. A longer wait is added to the latency
    #: of every event after an idle spell; a shorter one wakes the loop more often.
    max_batch: int = 64
    within_s: float = 0.02
    #: How long one input may wait for something that is away (registry, image store) before a person is asked instead.
    patience_s: float = 30.0
    #: How many records `handle_safely` has given a result: a batch in which this grows moves.
    handled: int = 0
    #: The record that is being handled is to be given up.
    overdue: bool = False
    #: Partitions of every topic, from the broker's own metadata; the worker sets it before `start`.
    partition_count: int = 1

    @property
    def group(self) -> str:
        """Consumer group id, and prefix of the transactional ids."""
        return f"vigia-{self.name}"

    @property
    def limit_s(self) -> float:
        """How long one record may be handled; a batch as well, where the stage handles it as one."""
        return PATIENCES * self.patience_s

    @property
    def state_topic(self) -> str:
        """Compacted topic of this stage's state, with as many partitions as its inputs."""
        return f"vigia.{self.name}.state"

    async def start(self) -> None:
        """Get ready before the first assignment (load a model, open a client)."""
        return

    async def stop(self) -> None:
        """Let go of what `start` took."""
        return

    def longest_s(self) -> float:
        """Seconds that the oldest call in a thread has been under way; one that never returns costs that thread."""
        return 0.0

    def still_s(self) -> Mapping[str, float]:
        """Seconds that each part which works beside the records has had something to do and has not moved; by name.

        A worker in which one stands still is replaced: its records may be taken up, and deadlines or messages are not.
        """
        return {}

    def case_of_entry(self, key: bytes, value: bytes) -> UUID | None:
        """The case that an entry of its state concerns which it could not read; None where that cannot be told."""
        return None

    @abstractmethod
    def new_state(self, partition: int) -> StateT:
        """Empty state for a partition that was just assigned. Called in a thread."""

    def on_assigned(self, states: Mapping[int, StateT]) -> None:
        """The states of all partitions now held, restored."""
        return

    def attach(self, later: Later[EventT]) -> None:
        """Called once, before `start`: `later` puts a result into the log that comes after its input was completed."""
        return

    def on_committed(self, partition: int, offsets: Mapping[str, int]) -> None:
        """What was made of the inputs below `offsets` (topic → next offset) is in the log."""
        return

    async def on_revoked(self) -> None:
        """All partitions are about to go: finish what goes on beside the inputs, soon. `later` still works."""
        return

    async def handle_batch(self, records: Sequence[Input[EventT, StateT]]) -> Sequence[Result]:
        """One result for each record, in order: what the runtime calls.

        By default it calls `handle_safely` one by one, so that each record finds the state that the one before it left.
        """
        return [await self.handle_safely(record) for record in records]

    async def handle_safely(self, record: Input[EventT, StateT]) -> Result:
        """What `handle` returns, or a problem for what it raised: Faust would count the event as done and lose it.

        Whoever runs this task gives up one record, and no more, by setting `overdue` and cancelling the task.
        """
        try:
            return await self.handle(record)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self.overdue or task is None or task.uncancel():
                raise
            return Result(problem=overdue(record.raw, self.limit_s))
        except Exception as error:
            return Result(problem=failure(error, record.raw))
        finally:
            self.overdue = False
            self.handled += 1

    @abstractmethod
    async def handle(self, record: Input[EventT, StateT]) -> Result:
        """The result for one record; it may raise."""

    @abstractmethod
    def on_problem(self, raw: RawRecord, event: EventT | None, problem: InputProblem) -> Result:
        """What asks a person to look at an input that goes to the dead letters. `event` is None where undecodable."""


#: A stage of which only the runtime's side matters: whoever starts a worker does not care what it reads.
AnyStage = Stage[Any, Any]


class NoState:
    """State of a stage that keeps none of its own."""

    def restore(self, key: bytes, value: bytes) -> None:
        """Nothing is kept, so nothing is expected in the topic."""


class StatelessStage(Stage[EventT, NoState]):
    """A stage that keeps nothing of its own; its state topic holds at most the ids of events seen."""

    def new_state(self, partition: int) -> NoState:
        """Nothing."""
        return NoState()


def overdue(raw: RawRecord, limit_s: float) -> InputProblem:
    """The problem of a record that was not handled within its time."""
    logger.error("%s[%s]@%s was not handled within %.1f s", raw.topic, raw.partition, raw.offset, limit_s)
    return InputProblem(reason=OVERDUE, detail=f"not handled within {limit_s:.1f} s")


def failure(error: Exception, raw: RawRecord) -> InputProblem:
    """The problem for an exception that no rule foresaw. Its text may hold patient data, so only its type is named."""
    # Where it happened helps the operator; the message of a foreign exception may quote what it choked on.
    trace = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s[%s]@%s failed: %s\n%s", raw.topic, raw.partition, raw.offset, type(error).__name__, trace)
    if isinstance(error, ContractError):
        return InputProblem(reason="invalid_event", detail=str(error)[:300])
    return InputProblem(reason="stage_failed", detail=type(error).__name__)
