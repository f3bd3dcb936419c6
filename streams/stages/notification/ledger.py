"""Messages that are owed: which targets of an escalation have not confirmed yet, kept in the stage's state topic.

The stage's position moves past an escalation as soon as it is written down here, so that a target that is slow or dead
holds up no other message. What is written down is sent by whoever holds the partition.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from schemas.envelope.raw import RawRecord, plain_raw, raw_of
from schemas.events import EscalationEvent
from streams.clinical.escalations import event_of, plain_event, state_json
from streams.runtime.records import StateChange
from streams.runtime.state import own_change

logger = logging.getLogger(__name__)

#: Version of the encoding; a change that an older reader would misunderstand adds one.
LEDGER_VERSION = 1
#: What was raised longer ago is not sent: a notifier set up today must not send last quarter's alarms. What is still
#: open is raised again within hours, and then sent.
STALE = timedelta(hours=24)


def target_id(url: str) -> str:
    """A name for a target that may be written down: a URL holds secrets."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


@dataclass(slots=True, kw_only=True)
class Owed:
    """One escalation level on its way to its targets."""

    raw: RawRecord
    event: EscalationEvent
    #: Ids of the targets that have confirmed.
    confirmed: set[str] = field(default_factory=set)
    #: Some target was given up: it is on the dead letters, and only its redrive sends to the others again.
    given_up: bool = False
    #: Ids of targets that this process has given up.
    failed: set[str] = field(default_factory=set)
    #: Target id → tries by this process.
    tries: dict[str, int] = field(default_factory=dict)

    def stale(self, now: datetime) -> bool:
        """Whether it was raised too long ago to be sent."""
        return now - self.event.raised_at > STALE

    def to_json(self) -> bytes:
        """One line of UTF-8 JSON."""
        return json.dumps(
            {
                "version": LEDGER_VERSION,
                "raw": plain_raw(self.raw),
                "event": plain_event(self.event),
                "confirmed": sorted(self.confirmed),
                "given_up": self.given_up,
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Owed:
        """What `to_json` wrote. Raises ValueError where it is nothing of ours or of another version."""
        try:
            entry = state_json(data)
            if entry["version"] != LEDGER_VERSION:
                raise ValueError(f"version {entry['version']!r}")
            return cls(
                raw=raw_of(entry["raw"]),
                event=event_of(entry["event"]),
                confirmed=set(entry["confirmed"]),
                given_up=bool(entry["given_up"]),
            )
        except (LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise ValueError(f"no entry of a ledger ({type(error).__name__})") from None


class Ledger:
    """What is owed on one partition, by event id. Every change is returned for the state topic."""

    def __init__(self) -> None:
        self._owed: dict[UUID, Owed] = {}
        #: Those of `_owed` that were given up, the oldest first.
        self._given_up: dict[UUID, Owed] = {}

    def __iter__(self) -> Iterator[Owed]:
        return iter(list(self._owed.values()))

    def __len__(self) -> int:
        return len(self._owed)

    def restore(self, key: bytes, value: bytes) -> None:
        """Take over one entry of the state topic.

        One that cannot be read is left alone: it must not stop the messages of all others. What it was about is raised
        again by the escalation clock while nobody answers.
        """
        try:
            owed = Owed.from_json(value)
        except ValueError as error:
            logger.error("an owed message cannot be read and is not sent: %s", str(error)[:100])
            return
        self._keep(owed)

    def get(self, event_id: UUID) -> Owed | None:
        """What is owed for this event."""
        return self._owed.get(event_id)

    def put(self, owed: Owed) -> StateChange:
        """Write down what is owed, in its newest state."""
        self._keep(owed)
        return own_change(owed.event.event_id.bytes, owed.to_json())

    def remove(self, owed: Owed) -> StateChange:
        """Nothing is owed any more."""
        self._owed.pop(owed.event.event_id, None)
        self._given_up.pop(owed.event.event_id, None)
        return own_change(owed.event.event_id.bytes, None)

    def forget_stale(self, now: datetime) -> Iterable[StateChange]:
        """Let go of what was given up and is too old for a redrive to be sent."""
        return [self.remove(owed) for owed in list(self._given_up.values()) if owed.stale(now)]

    def _keep(self, owed: Owed) -> None:
        event_id = owed.event.event_id
        self._owed[event_id] = owed
        self._given_up.pop(event_id, None)
        if owed.given_up:
            self._given_up[event_id] = owed
