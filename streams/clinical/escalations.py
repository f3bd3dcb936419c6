"""An open escalation as a value: what was demanded of whom, until when, and whether somebody took it up.

This is what the escalation stage keeps in its compacted state topic, so it has an encoding that outlives the process:
versioned JSON, which a newer version can read, and which names what an older one cannot.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

from schemas.events import EscalationEvent

#: Version of the encoding; a change that an older reader would misunderstand adds one.
STATE_VERSION = 1

#: Time to resolve where the grading named none, as one of an earlier version: a day, so that it is not forgotten.
RESOLVE_WITHIN_S = 24 * 3600

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class EscalationStateError(ValueError):
    """Bytes that are no state of ours, or one of a newer version. The text never holds the bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenEscalation:
    """An escalation that nobody has resolved.

    `event` is as it was last published: its level, the role that must answer, and by when. `ladder` and
    `reescalate_every_s` are those of the policy that opened it, so that a new policy does not move a running deadline.
    """

    event: EscalationEvent
    #: Roles from the first that must answer to the highest; the level is the position, and the last one repeats.
    ladder: tuple[str, ...]
    reescalate_every_s: int
    #: When it was raised for the first time.
    opened_at: datetime
    #: Seconds for whoever takes it up to resolve it.
    resolve_within_s: int = RESOLVE_WITHIN_S
    #: Once a person took it up, nobody else is asked before `resolve_by`.
    acknowledged_at: datetime | None = None
    acknowledged_role: str | None = None
    resolve_by: datetime | None = None
    #: JSON of the fields that a newer version wrote and this one does not know; they are written back. Empty: none.
    unknown: str = ""

    @property
    def escalation_id(self) -> UUID:
        """The id, the same over all levels."""
        return self.event.escalation_id

    @property
    def acknowledged(self) -> bool:
        """Whether somebody took it up."""
        return self.acknowledged_at is not None

    @property
    def next_due(self) -> datetime | None:
        """When it will be raised if nothing happens: nobody took it up, or whoever did has not resolved it."""
        return self.resolve_by if self.acknowledged else self.event.respond_by

    def to_json(self) -> bytes:
        """The state as one line of UTF-8 JSON; equal states have equal bytes."""
        state = {
            "version": STATE_VERSION,
            "ladder": self.ladder,
            "reescalate_every_s": self.reescalate_every_s,
            "opened_at": _micros(self.opened_at),
            "resolve_within_s": self.resolve_within_s,
            "acknowledged_at": _micros(self.acknowledged_at),
            "acknowledged_role": self.acknowledged_role,
            "resolve_by": _micros(self.resolve_by),
            "event": plain_event(self.event),
        }
        if self.unknown:
            unknown = json.loads(self.unknown)
            state = {**unknown["state"], **state, "event": {**unknown["event"], **plain_event(self.event)}}
        return json.dumps(state, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> OpenEscalation:
        """The state that `to_json` wrote, this version's or an older one's. Raises EscalationStateError."""
        try:
            state = state_json(data)
            version = state["version"]
            if version != STATE_VERSION:
                raise EscalationStateError(f"state of version {version!r}; this program reads version {STATE_VERSION}")
            acknowledged_at = _time(state["acknowledged_at"])
            resolve_within_s = int(state.get("resolve_within_s", RESOLVE_WITHIN_S))
            resolve_by = _time(state.get("resolve_by"))
            if acknowledged_at is not None and resolve_by is None:
                # Taken up before there was such a time.
                resolve_by = acknowledged_at + timedelta(seconds=resolve_within_s)
            event = event_of(state["event"])
            return cls(
                event=event,
                # Before there was such a time, that of its latest level stands for it.
                opened_at=_time(state.get("opened_at")) or event.raised_at,
                ladder=_shared(tuple(state["ladder"])),
                reescalate_every_s=int(state["reescalate_every_s"]),
                resolve_within_s=resolve_within_s,
                acknowledged_at=acknowledged_at,
                acknowledged_role=state["acknowledged_role"],
                resolve_by=resolve_by,
                unknown=_unknown(state),
            )
        except EscalationStateError:
            raise
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise EscalationStateError(f"no escalation state ({type(error).__name__})") from None


_KNOWN = frozenset(
    {
        "version",
        "ladder",
        "reescalate_every_s",
        "opened_at",
        "resolve_within_s",
        "acknowledged_at",
        "acknowledged_role",
        "resolve_by",
        "event",
    }
)
_KNOWN_OF_EVENT = frozenset(field.name for field in fields(EscalationEvent))


def _unknown(state: dict[str, Any]) -> str:
    unknown = {name: value for name, value in state.items() if name not in _KNOWN}
    of_event = {name: value for name, value in state["event"].items() if name not in _KNOWN_OF_EVENT}
    return json.dumps({"state": unknown, "event": of_event}) if unknown or of_event else ""


def _micros(at: datetime | None) -> int | None:
    return None if at is None else (at - _EPOCH) // _MICROSECOND


def _time(micros: int | None) -> datetime | None:
    return None if micros is None else _EPOCH + micros * _MICROSECOND


def state_json(data: bytes) -> Any:
    """The JSON of a state. Raises what `json.loads` does, and ValueError for what could not be written again."""
    # Half of a surrogate pair has no bytes in UTF-8: what holds it would fail when it is next changed. `loads` would
    # take it from bytes, and takes it from an escape.
    state = json.loads(data.decode())
    if b"\\u" in data:
        json.dumps(state, ensure_ascii=False).encode()
    return state


def plain_event(event: EscalationEvent) -> dict[str, Any]:
    """The event as values that JSON can hold, by field; `event_of` reads it."""
    return {
        # Avro's writer wants a nested optional record as (name, fields); the fields are enough here.
        name: value[1] if isinstance(value, tuple) else value
        for name, value in EscalationEvent.__avro__.to_avro(event).items()
    }


def event_of(plain: dict[str, Any]) -> EscalationEvent:
    """The event that `plain_event` wrote, in this version or an older one. Raises ValueError, KeyError, TypeError."""
    return _shared_texts(EscalationEvent.__avro__.from_avro(_DEFAULTS | plain))


def _defaults() -> dict[str, Any]:
    """The plain value of every field that has a default: a state written before the field existed does not hold it."""
    defaults = {field.name: field.default for field in fields(EscalationEvent) if field.default is not MISSING}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}


_DEFAULTS = _defaults()


def _shared_texts(event: EscalationEvent) -> EscalationEvent:
    """The same event, its sentences shared among all states: they are few, and the states may be many thousands."""
    return replace(
        event,
        reasons=_shared(event.reasons),
        recommendations=_shared(event.recommendations),
        warnings=_shared(event.warnings),
        contraindications=_shared(event.contraindications),
        protocols=_shared(event.protocols),
        disclaimer=_shared((event.disclaimer,))[0],
    )


_T = TypeVar("_T")


def _shared(values: tuple[_T, ...]) -> tuple[_T, ...]:
    shared: tuple[_T, ...] = _first_equal_tuple(tuple(_first_equal(value) for value in values))
    return shared


@lru_cache(maxsize=4096)
def _first_equal(value: Any) -> Any:
    return value


@lru_cache(maxsize=4096)
def _first_equal_tuple(values: tuple[Any, ...]) -> Any:
    return values
