"""The values that pass between a stage and the runtime: what comes in, what goes out, what went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from schemas.envelope.raw import Headers, RawRecord
from schemas.events import Event, PipelineStage


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A consumed record with its decoded event and the `PartitionState` of its partition."""

    raw: RawRecord
    event: Any
    #: SHA-256 (hex) of the consumed value: the audit chain's link to what this input was derived from.
    hash: str
    state: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """An event to publish, and what the audit entry about it says.

    `parent_hash` is the SHA-256 of the record it was derived from; None means the input's own. `value` holds the
    encoded event where the stage needed its hash already; None lets the runtime encode it.
    """

    topic: str
    event: Event
    outcome: str
    stage: PipelineStage
    attributes: Mapping[str, str] = field(default_factory=dict)
    parent_hash: str | None = None
    value: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditNote:
    """An audit entry about a record that this stage did not produce (a case that came in, an acknowledgement)."""

    event_id: Any
    case_id: Any
    topic: str
    outcome: str
    stage: PipelineStage
    output_hash: str
    parent_hash: str | None = None
    source_event_id: Any = None
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

    `reason` is a code (bounded, used as a metric label); `detail` one line without patient data; `system` asks for
    the system administrator as well as a clinician (bytes that are no event, a broken model).
    """

    reason: str
    detail: str
    system: bool = False


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


class StageState(Protocol):
    """State of one partition, rebuilt from the state topic at every assignment."""

    def restore(self, key: bytes, value: bytes) -> None:
        """Take over one entry of the state topic."""
