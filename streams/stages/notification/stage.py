"""The notification stage: each escalation level to its channels, once, and audited only when confirmed.

It runs on the exactly-once runtime like every stage, so that audit entry, memory of what was sent, and position become
visible together. The sending itself cannot be part of a Kafka transaction: a process that dies between a target's
confirmation and the commit sends that level again, with the same idempotency key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from schemas.envelope.audit import audit_attributes
from schemas.envelope.raw import RawRecord
from schemas.events import EscalationEvent, Lane, PipelineStage
from streams import topics
from streams.clinical.policy import Policy, Problem
from streams.runtime.records import AuditNote, Input, InputProblem, Result
from streams.runtime.stage import NoState, StatelessStage
from streams.stages.grading.quarantine import Quarantine
from streams.stages.notification.delivery import deliver
from streams.stages.notification.message import Message, message
from streams.stages.notification.targets import Targets

#: Pauses between tries, in seconds. Together with the tries themselves about a minute: the next level of an emergency
#: comes after two, and must not stand behind this one.
PAUSES_S = (1.0, 2.0, 5.0, 10.0, 20.0)
#: What was raised longer ago is not sent: a notifier set up today must not send last quarter's alarms. What is still
#: open is raised again within hours, and then sent.
STALE = timedelta(hours=24)

Deliver = Callable[[str, Message, UUID], bool]


class NotificationStage(StatelessStage[EscalationEvent]):
    """Escalations to messages."""

    name = "notification"
    inputs = tuple(topics.ESCALATIONS.values())
    accepts = (EscalationEvent,)
    deduplicates = True
    max_batch = 16

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
        self._deliver = deliver
        self._pauses_s = pauses_s

    async def handle_batch(self, records: Sequence[Input[EscalationEvent, NoState]]) -> Sequence[Result]:
        """All of a batch at once: a target that is slow must not hold up the others."""
        return await asyncio.gather(*(self.handle_safely(record) for record in records))

    async def handle(self, record: Input[EscalationEvent, NoState]) -> Result:
        """Send to every target of the event's channels; done when all have confirmed."""
        event = record.event
        if event.synthetic:
            return Result()
        if datetime.now(UTC) - event.raised_at > STALE:
            return Result(notes=(_note(record, "notification_skipped:stale", {}),))
        urls = self._targets.of(event.channels)
        if not urls:
            return Result(notes=(_note(record, "notification_skipped:no_target", {}),))
        text = message(event, self._targets.languages, self._role_names)
        tries = await asyncio.gather(*(self._insist(url, text, event.event_id) for url in urls))
        failed = sum(1 for count in tries if count is None)
        if failed:
            detail = f"{failed} of {len(urls)} targets did not confirm after {1 + len(self._pauses_s)} tries"
            return Result(problem=InputProblem(reason="notification_failed", detail=detail))
        attributes = {"targets": len(urls), "tries": max(count or 0 for count in tries), "level": event.level}
        return Result(notes=(_note(record, f"notified:{event.type.value}:{event.level}", attributes),))

    def on_problem(self, raw: RawRecord, event: EscalationEvent | None, problem: InputProblem) -> Result:
        """A system error, through the gradings topic. One that asks because of a failed message does not ask again."""
        reasons = () if event is None else event.reasons
        if any(reason.code == Problem.PROCESSING_FAILED.value for reason in reasons):
            return Result()
        return self._quarantine.ask(raw, event, problem, Lane.ROUTINE)

    async def _insist(self, url: str, text: Message, event_id: UUID) -> int | None:
        """How many tries it took; None where the target never confirmed."""
        for count in range(1, 2 + len(self._pauses_s)):
            if await asyncio.to_thread(self._deliver, url, text, event_id):
                return count
            if count <= len(self._pauses_s):
                await asyncio.sleep(self._pauses_s[count - 1])
        return None


def _note(record: Input[EscalationEvent, NoState], outcome: str, attributes: Mapping[str, object]) -> AuditNote:
    event = record.event
    return AuditNote(
        event_id=event.event_id,
        case_id=event.case_id,
        topic=record.raw.topic,
        outcome=outcome,
        stage=PipelineStage.NOTIFICATION,
        output_hash=record.hash,
        parent_hash=record.hash,
        source_event_id=event.source_event_id,
        attributes=audit_attributes({"escalation_id": event.escalation_id, **attributes}),
    )
