"""The values that pass between a stage and the runtime: what comes in, what goes out, what went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from schemas.envelope.raw import Headers, RawRecord
from schemas.events import CaseRecord, PipelineStage
from schemas.record import Record


class StageState(Protocol):
    """What a stage keeps per partition, rebuilt from its state topic at every assignment."""

    def restore(self, key: bytes, value: bytes) -> None:
        """Take over one entry of the state topic."""


EventT = TypeVar("EventT", bound=Record)
StateT = TypeVar("StateT", bound=StageState)


@dataclass(frozen=True, slots=True, kw_only=True)
class Input(Generic[EventT, StateT]):
    """A consumed record with its decoded event, and what the stage keeps for the record's partition."""

    raw: RawRecord
    event: EventT
    #: SHA-256 (hex) of the consumed value: the audit chain's link to what this input was derived from.
    hash: str
    state: StateT


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """An event to publish, and what the audit entry about it says.

    `parent_hash` is the SHA-256 of the record it was derived from; None means the input's own. `value` holds the
    encoded event where the stage needed its hash already; None lets the runtime encode it.
    """

    topic: str
    event: CaseRecord
    outcome: str
    stage: PipelineStage
    attributes: Mapping[str, str] = field(default_factory=dict)
    parent_hash: str | None = None
    value: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditNote:
    """An audit entry about a record that this stage did not produce (a case that came in, an acknowledgement)."""

    event_id: UUID
    case_id: UUID
    topic: str
    outcome: str
    stage: PipelineStage
    output_hash: str
    parent_hash: str | None = None
    source_event_id: UUID | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """A new value for a key of the partition's state; None removes the key."""

    key: bytes
    value: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """The input's own bytes, sent again: to the partition that its key belongs to."""

    topic: str
    key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class InputProblem:
    """Why an input cannot be processed: it goes to the dead letters and a person is asked to look.

    `reason` is a code (bounded, used as a metric label); `detail` one line without patient data.
    """

    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a stage makes of one input; all of it becomes visible in one transaction with the input's offset."""

    outputs: Sequence[Output] = ()
    notes: Sequence[AuditNote] = ()
    state: Sequence[StateChange] = ()
    forward: Forward | None = None
    problem: InputProblem | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Bytes on their way to a topic. `partition` None: by the key's murmur2 hash."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: Headers = ()
