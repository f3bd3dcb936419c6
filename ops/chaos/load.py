"""The load of a campaign: cases drawn from a seed, published at a steady rate, each kept for the verifier."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ops.chaos.bombs import TOO_DEAR, Bomb, burst
from ops.chaos.hostile import hostile
from ops.chaos.publishing import Publishing
from ops.chaos.reference import Reference
from ops.chaos.values import Sent
from schemas import ids
from schemas.events import (
    AcknowledgementAction,
    AcknowledgementEvent,
    CaseEvent,
    EscalationType,
    ImageReference,
    Lane,
    PatientContext,
)
from schemas.serde import Serde
from streams import topics

#: One case in this many is flagged as an emergency, is published again with another picture, is answered by a person.
EMERGENCY_EVERY, AGAIN_EVERY, ANSWERED_EVERY = 10, 8, 3
#: A person answers a case after this many later ones: by then its escalation is there, unless something is broken.
ANSWER_AFTER = 60
ANSWERED = (EscalationType.EMERGENCY, EscalationType.SPECIALIST_REVIEW, EscalationType.HUMAN_REVIEW)


@dataclass(slots=True)
class Load:
    """Draws and publishes cases. One thread calls `run`; others may call `poison` and `duplicates` meanwhile."""

    publishing: Publishing
    serde: Serde
    pictures: Sequence[ImageReference]
    reference: Reference
    rng: random.Random
    bombs: Sequence[Bomb] = ()
    published: int = 0
    #: The error that ended `run` early; None when there was none.
    failure: BaseException | None = None
    _answers: list[tuple[int, CaseEvent]] = field(default_factory=list)
    _last: CaseEvent | None = None

    def run(self, cases: int, rate: float, stopped: Callable[[], bool]) -> None:
        """Publish `cases` at `rate` per second. After an interruption it catches up, so the mean rate holds."""
        started = time.monotonic()
        try:
            while self.published < cases and not stopped():
                wait = started + self.published / rate - time.monotonic()
                if wait > 0:
                    self.publishing.poll(min(wait, 0.05))
                    continue
                self._next()
                self.publishing.poll(0)
        except BaseException as error:
            self.failure = error
            raise

    def poison(self, draw: float) -> str:
        """Publish a record that must become a dead letter; returns what is wrong with it."""
        rng = random.Random(draw)  # noqa: S311 - repeatable on purpose
        case = self._case(Lane.EMERGENCY if draw < 0.3 else Lane.ROUTINE, rng)
        topic = topics.CASES[case.lane]
        which = int(draw * 97) % 4
        if which == 0:
            self._send(topic, case.case_id, b"no Avro " + case.event_id.bytes, None, {"undecodable"})
            return "no Avro"
        if which == 1:
            value = struct.pack(">bI", 0, 900_000 + int(draw * 10_000)) + case.event_id.bytes
            self._send(topic, case.case_id, value, None, {"undecodable", "registry_unavailable"})
            return "unknown schema"
        if which == 2:
            bad = replace(case, image=replace(case.image, uri=case.image.uri.rsplit("/", 1)[0] + "/" + "0" * 64))
            self._send_event(topic, bad, {"image_missing"})
            return "picture missing"
        bad = replace(case, image=replace(case.image, sha256="0" * 64))
        self._send_event(topic, bad, {"hash_mismatch"})
        return "picture changed"

    def hostile(self, draw: float) -> str:
        """Publish a record that nobody would send, and a sound emergency behind it; returns what is wrong with it."""
        what, one = hostile(draw, topics.CASES[Lane.EMERGENCY])
        rng = random.Random(draw + 1)  # noqa: S311 - repeatable on purpose
        case = self._case(Lane.EMERGENCY, rng)
        if one.key is not None:
            # The same key, and so the same partition: it lies behind the other.
            case = replace(case, case_id=UUID(one.key.decode()))
        self.publishing.publish(one)
        self._send_event(one.topic, case, set())
        return what

    def bomb(self, draw: float) -> str:
        """Publish cases with pictures that cost more than any other, each with a sound one of the same case behind it;
        returns what they hold."""
        rng = random.Random(draw + 2)  # noqa: S311 - repeatable on purpose
        chosen = burst(self.bombs, draw)
        for bomb in chosen:
            lane = Lane.EMERGENCY if rng.random() < 0.7 else Lane.ROUTINE
            case = replace(self._case(lane, rng), image=bomb.reference)
            value = self.serde.encode(case, topics.CASES[lane])
            self._send(topics.CASES[lane], case.case_id, value, case, set(bomb.refused), TOO_DEAR)
            self._send_event(topics.CASES[lane], replace(self._case(lane, rng), case_id=case.case_id), set())
        return ", ".join(bomb.kind for bomb in chosen)

    def flood(self, draw: float, count: int = 200) -> str:
        """Publish many cases at once that name no patient: each asks people."""
        rng = random.Random(draw)  # noqa: S311 - repeatable on purpose
        for _ in range(count):
            self._send_event(
                topics.CASES[Lane.ROUTINE], replace(self._case(Lane.ROUTINE, rng), patient_token=None), set()
            )
        return f"{count} cases"

    def duplicates(self, draw: float, count: int = 20) -> str:
        """Publish again, byte by byte, `count` of the latest cases; returns what was done."""
        recent = self.publishing.recent(2_000)
        known = [one for one in recent if one.topic in topics.CASES.values() and not one.hostile]
        start = int(draw * max(1, len(known) - count))
        for one in known[start : start + count]:
            self.publishing.publish(one)
        return f"{len(known[start : start + count])} records again"

    def _next(self) -> None:
        number = self.published
        lane = Lane.EMERGENCY if number % EMERGENCY_EVERY == 0 else Lane.ROUTINE
        case = self._case(lane, self.rng)
        if self._last is not None and number % AGAIN_EVERY == AGAIN_EVERY - 1:
            # The same case with another picture and event, to test the order within a case.
            case = replace(case, case_id=self._last.case_id, lane=self._last.lane)
        if number % ANSWERED_EVERY == 0 or lane is Lane.EMERGENCY:
            self._answers.append((number + ANSWER_AFTER, case))
        self._last = case
        self._send_event(topics.CASES[case.lane], case, set())
        self.published += 1
        while self._answers and self._answers[0][0] <= number:
            self._answer(self._answers.pop(0)[1])

    def _case(self, lane: Lane, rng: random.Random) -> CaseEvent:
        now = datetime.now(UTC)
        case_id = UUID(int=rng.getrandbits(128), version=4)
        return CaseEvent(
            event_id=UUID(int=rng.getrandbits(128), version=4),
            case_id=case_id,
            lane=lane,
            captured_at=now,
            published_at=now,
            patient_token=None if rng.random() < 0.05 else f"vpt1-00000000-{rng.getrandbits(256):064x}",
            image=rng.choice(self.pictures),
            context=PatientContext(
                age=rng.randrange(18, 100),
                diabetes=rng.random() < 0.3,
                anticoagulants=rng.random() < 0.2,
                malnutrition=rng.random() < 0.2,
                braden_score=rng.randrange(6, 24),
                mucosal=rng.random() < 0.02 or None,
            ),
            producer="chaos",
        )

    def _answer(self, case: CaseEvent) -> None:
        # The escalation's id follows from the case's, so nothing has to be read to answer it. The highest role of the
        # ladder may answer at any level. An answer to an escalation that is not open is refused, and audited too.
        grading = self.reference.grading_id(self.reference.inference_id(case))
        kind = self.rng.choice(ANSWERED)
        resolve = self.rng.random() < 0.5
        event = AcknowledgementEvent(
            event_id=UUID(int=self.rng.getrandbits(128), version=4),
            case_id=case.case_id,
            escalation_id=ids.escalation_id(grading, kind.value),
            action=AcknowledgementAction.RESOLVE if resolve else AcknowledgementAction.ACKNOWLEDGE,
            role=self.reference.policy.escalations[kind].ladder[-1],
            acknowledged_at=datetime.now(UTC),
            acknowledged_by=f"chaos-{self.rng.getrandbits(128):032x}",
        )
        self._send_event(topics.ACKNOWLEDGEMENTS, event, set())

    def _send_event(self, topic: str, event: Any, refused: set[str]) -> None:
        self._send(topic, event.case_id, self.serde.encode(event, topic), event, refused)

    def _send(
        self,
        topic: str,
        key: UUID,
        value: bytes,
        event: Any,
        refused: set[str],
        may_refuse: frozenset[str] = frozenset(),
    ) -> None:
        self.publishing.publish(
            Sent(
                topic=topic,
                key=str(key).encode(),
                value=value,
                event=event,
                refused=frozenset(refused),
                may_refuse=may_refuse,
            )
        )
