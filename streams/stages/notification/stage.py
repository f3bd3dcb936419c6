"""The notification stage: each escalation level to its channels, once, and audited only when confirmed.

It runs on the exactly-once runtime like every stage. An escalation is first written down as owed, with the stage's
position; then it is sent, beside the stage's inputs; the answer of each target is written down when it comes. So no
target holds up another's message, and a partition that moves takes with it what is still owed. The sending itself
cannot be part of a Kafka transaction: a process that dies between a target's confirmation and the commit sends that
level again, with the same idempotency key.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from schemas.envelope.audit import audit_attributes, sha256_hex
from schemas.envelope.raw import RawRecord
from schemas.events import EscalationEvent, Lane, PipelineStage
from streams import topics
from streams.clinical.policy import Policy, Problem
from streams.runtime.records import AuditNote, Input, InputProblem, Result
from streams.runtime.stage import Later, Stage
from streams.stages.grading.quarantine import Quarantine
from streams.stages.notification.courier import PAUSES_S, Courier, Deliver
from streams.stages.notification.delivery import deliver
from streams.stages.notification.ledger import Ledger, Owed, target_id
from streams.stages.notification.message import message
from streams.stages.notification.targets import Targets


class NotificationStage(Stage[EscalationEvent, Ledger]):
    """Escalations to messages."""

    name = "notification"
    inputs = tuple(topics.ESCALATIONS.values())
    accepts = (EscalationEvent,)
    deduplicates = True

    def __init__(
        self,
        targets: Targets,
        policy: Policy,
        quarantine: Quarantine,
        *,
        deliver: Deliver = deliver,
        pauses_s: Sequence[float] = PAUSES_S,
    ) -> None:
        self._targets = targets
        self._role_names = {role: {"es": text.es, "en": text.en} for role, text in policy.roles.items()}
        self._quarantine = quarantine
        self._courier = Courier(deliver, self._answered, pauses_s)
        self._ledgers: Mapping[int, Ledger] = {}
        #: Written down, and not yet known to be in the log: a process that was fenced must not send.
        self._uncommitted: dict[int, deque[Owed]] = {}
        self._later: Later[EscalationEvent] | None = None

    def attach(self, later: Later[EscalationEvent]) -> None:
        """Answers of targets come after their escalation was completed."""
        self._later = later

    def longest_s(self) -> float:
        """How long the oldest message has been on its way; one that never returns costs its target a thread."""
        return self._courier.longest_s()

    def still_s(self) -> Mapping[str, float]:
        """The courier: without it, what is owed is sent by nobody."""
        return {"courier": self._courier.still_s()}

    def new_state(self, partition: int) -> Ledger:
        """Nothing is owed."""
        return Ledger()

    def on_assigned(self, states: Mapping[int, Ledger]) -> None:
        """Send what is owed on these partitions."""
        self._ledgers = states
        self._uncommitted.clear()
        self._courier.resume()
        for ledger in states.values():
            for owed in ledger:
                if not owed.given_up:
                    self._send(owed)

    def on_committed(self, partition: int, offsets: Mapping[str, int]) -> None:
        """Send what is now in the log as owed."""
        waiting = self._uncommitted.get(partition)
        while waiting and waiting[0].raw.offset < offsets.get(waiting[0].raw.topic, 0):
            self._send(waiting.popleft())

    async def on_revoked(self) -> None:
        """Let messages on their way arrive; what has not been answered then is the next owner's."""
        await self._courier.drain()

    async def handle(self, record: Input[EscalationEvent, Ledger]) -> Result:
        """Write down what is owed to the targets of the event's channels; it is sent once that is committed."""
        event, ledger, now = record.event, record.state, datetime.now(UTC)
        changes = tuple(ledger.forget_stale(now))
        if event.synthetic:
            return Result(state=changes)
        owed = Owed(raw=record.raw, event=event)
        if owed.stale(now):
            return Result(notes=(_note(owed, "notification_skipped:stale", {}),), state=changes)
        if not self._targets.of(event.channels):
            return Result(notes=(_note(owed, "notification_skipped:no_target", {}),), state=changes)
        if (before := ledger.get(event.event_id)) is not None:
            # A redriven dead letter: targets that have confirmed it are not asked again.
            owed.confirmed = before.confirmed
        self._uncommitted.setdefault(record.raw.partition, deque()).append(owed)
        return Result(state=(*changes, ledger.put(owed)))

    def on_problem(self, raw: RawRecord, event: EscalationEvent | None, problem: InputProblem) -> Result:
        """A system error, through the gradings topic. One that asks because of a failed message does not ask again."""
        reasons = () if event is None else event.reasons
        if any(reason.code == Problem.PROCESSING_FAILED.value for reason in reasons):
            return Result()
        return self._quarantine.ask(raw, event, problem, Lane.ROUTINE)

    def _send(self, owed: Owed) -> None:
        urls = self._targets.of(owed.event.channels)
        if all(target_id(url) in owed.confirmed for url in urls):
            # The targets were changed, or its last one confirmed just before its notifier was stopped.
            self._settle(owed, urls)
            return
        self._courier.send(owed, urls, message(owed.event, self._targets.languages, self._role_names))

    def _answered(self, owed: Owed, target: str, confirmed: bool) -> None:
        ledger = self._ledgers.get(owed.raw.partition)
        if ledger is None or ledger.get(owed.event.event_id) is not owed:
            return
        if confirmed:
            owed.confirmed.add(target)
        else:
            owed.failed.add(target)
        urls = self._targets.of(owed.event.channels)
        if all(target_id(url) in owed.confirmed | owed.failed for url in urls):
            self._settle(owed, urls)
        elif confirmed:
            self._write(owed, Result(), ledger)

    def _settle(self, owed: Owed, urls: Sequence[str]) -> None:
        """Every target has confirmed or was given up."""
        ledger = self._ledgers[owed.raw.partition]
        tries = max(owed.tries.values(), default=0)
        if not owed.failed:
            attributes = {"targets": len(urls), "tries": tries, "level": owed.event.level}
            note = _note(owed, f"notified:{owed.event.type.value}:{owed.event.level}", attributes)
            self._write(owed, Result(notes=(note,)), ledger, done=True)
            return
        detail = f"{len(owed.failed)} of {len(urls)} targets did not confirm after {self._courier.most_tries} tries"
        problem = InputProblem(reason="notification_failed", detail=detail)
        owed.given_up = True
        self._write(owed, Result(problem=problem), ledger, done=not owed.confirmed)

    def _write(self, owed: Owed, result: Result, ledger: Ledger, *, done: bool = False) -> None:
        assert self._later is not None
        change = ledger.remove(owed) if done else ledger.put(owed)
        self._later(owed.raw, owed.event, result, (change,))


def _note(owed: Owed, outcome: str, attributes: Mapping[str, object]) -> AuditNote:
    event, value_hash = owed.event, sha256_hex(owed.raw.value)
    return AuditNote(
        event_id=event.event_id,
        case_id=event.case_id,
        topic=owed.raw.topic,
        outcome=outcome,
        stage=PipelineStage.NOTIFICATION,
        output_hash=value_hash,
        parent_hash=value_hash,
        source_event_id=event.source_event_id,
        attributes=audit_attributes({"escalation_id": event.escalation_id, **attributes}),
    )
