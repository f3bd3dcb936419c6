"""The demo from start to end, over a system that is running."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from rich.console import Console

from ops.demo import show
from ops.demo.acknowledge import acknowledge
from ops.demo.follow import Follower, Story
from ops.demo.reconcile import Published, complete, reconcile
from ops.demo.scenario import SPECIAL, Kind, plan
from ops.demo.view import Inputs, View
from ops.up import System
from schemas.events import EscalationEvent, EscalationType, PipelineStage
from schemas.registry import Registry
from streams.audit_snapshot import Auditor
from streams.client import CaseProducer

#: The whole demo's patience, from the last input published. Workers that are still starting need most of it.
COMPLETE_WITHIN_S = 180.0
ACKNOWLEDGED_WITHIN_S = 30.0


class Demo:
    """Publishes, watches, answers one emergency, and holds every input against its outcome."""

    def __init__(self, system: System, console: Console, *, cases: int, seed: int) -> None:
        self._system = system
        self._console = console
        self._cases = cases
        self._seed = seed
        #: When the broker had each case, in seconds since the epoch.
        self._started: dict[UUID, float] = {}

    def run(self) -> list[str]:
        """What went wrong, one line each; empty when everything reconciles."""
        with Follower(self._system.settings) as follower:
            inputs: Inputs = []
            with View(self._console, follower, self._cases + SPECIAL, inputs) as look:
                self._publish(inputs, look)
                published = [each for _, each in inputs]
                follower.wait(lambda stories: complete(published, stories), COMPLETE_WITHIN_S, look)
            wrong = self._answer(follower)
            # What is doubled would come after what is complete.
            time.sleep(1.0)
            with follower.lock:
                stories = dict(follower.stories)
        self._console.print()
        show.summary(self._console, inputs, stories, self._started)
        self._console.print(f"\n{show.latencies(inputs, stories, self._started)}", highlight=False)
        wrong = reconcile(published, stories) + wrong
        if not wrong:
            cases = len({each.case_id for each in published})
            escalations = sum(len(story.escalations) for story in stories.values())
            self._tell(f"every input has its outcome: {len(inputs)} inputs, {cases} cases, {escalations} escalations")
        return wrong + self._verify_audit()

    def _publish(self, inputs: Inputs, look: Callable[[], None]) -> None:
        # The second producer does not remember what the first has sent: the stages must see the copy.
        with CaseProducer(self._system.settings) as first, CaseProducer(self._system.settings) as second:
            for planned in plan(self._cases, self._seed, datetime.now(UTC)):
                producer = second if planned.kind is Kind.DUPLICATE else first
                case = planned.case
                done = producer.publish(
                    image=case.image,
                    patient_code=case.patient_code,
                    context=case.context,
                    analysis_type=case.analysis_type,
                    processing_options=case.processing_options,
                    captured_at=case.captured_at,
                    accept_unreadable=case.accept_unreadable,
                )
                self._started.setdefault(done.case_id, time.time())
                inputs.append((planned, Published(case_id=done.case_id, event_id=done.event_id, kind=planned.kind)))
                look()

    def _answer(self, follower: Follower) -> list[str]:
        """Acknowledge one emergency, and see in the audit that its clock stopped."""
        with follower.lock:
            chosen = _most_urgent(list(follower.stories.values()))
        if chosen is None:
            return ["no escalation came that could be acknowledged"]
        self._tell(f"acknowledging {chosen.type.value} of case {str(chosen.case_id)[:8]} as {chosen.role}")
        ack = acknowledge(self._system.settings, chosen)

        def audited(stories: dict[UUID, Story]) -> bool:
            entries = stories.get(chosen.case_id, Story()).audit
            return any(
                entry.stage is PipelineStage.ACKNOWLEDGEMENT and entry.event_id == ack.event_id for entry in entries
            )

        if not follower.wait(audited, ACKNOWLEDGED_WITHIN_S, lambda: None):
            return [f"the acknowledgement of escalation {chosen.escalation_id} was not taken"]
        self._tell("acknowledged: its clock stands still, and the audit says so")
        return []

    def _verify_audit(self) -> list[str]:
        settings = self._system.settings
        with Registry(settings.schema_registry_url) as registry:
            report = Auditor(settings.bootstrap_servers, registry).verify()
        if report.clean:
            self._tell("the audit chain holds from every case to its answer (vigia audit verify)")
            return []
        return [f"audit: {finding}" for finding in report.findings]

    def _tell(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True, markup=False)


def _most_urgent(stories: list[Story]) -> EscalationEvent | None:
    every = [each for story in stories for each in story.escalations]
    emergencies = [each for each in every if each.type is EscalationType.EMERGENCY] or every
    return min(emergencies, key=lambda each: each.respond_by, default=None)
