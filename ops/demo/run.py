"""Runs the demo on a running system: publish, watch, answer one emergency, check every input."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from uuid import UUID, uuid4

from rich.console import Console

from ops.demo import show
from ops.demo.follow import Follower, Story
from ops.demo.reconcile import Published, complete, reconcile
from ops.demo.scenario import InputKind, PlannedInput
from ops.demo.view import Inputs, ProgressView
from ops.system.system import System
from schemas.events import EscalationEvent, EscalationType
from schemas.registry import Registry
from streams import topics
from streams.audit.auditor import Auditor
from streams.broker.cluster import Cluster
from streams.client import CaseProducer
from streams.client.acknowledge import Acknowledger
from streams.pipeline import ANSWERED_BY

#: Seconds from the last input published until all must be complete. Workers that are still starting need most of them.
COMPLETE_WITHIN_S = 180.0
TAKEN_UP_WITHIN_S = 30.0
#: On a terminal the first pictures are published one by one, slowly enough to be followed; the others all at once, so
#: that there are routine cases for the emergencies to overtake.
PACED = 10
PACE_S = 0.3


class Demo:
    """Publishes, watches, answers one emergency, and compares every input with its outcome."""

    def __init__(self, system: System, console: Console, planned: Sequence[PlannedInput]) -> None:
        self._system = system
        self._console = console
        self._planned = planned
        #: The case whose escalation was acknowledged; None before, or when there was none.
        self.answered: UUID | None = None
        #: When the broker confirmed each case, in seconds since the epoch.
        self._started: dict[UUID, float] = {}

    def run(self) -> list[str]:
        """What went wrong, one line each; empty when everything reconciles."""
        with Follower(self._system.settings) as follower:
            inputs: Inputs = []
            with ProgressView(self._console, follower, len(self._planned), inputs) as look:
                self._publish(inputs, look)
                published = [each for _, each in inputs]
                follower.wait(lambda stories: complete(published, stories), COMPLETE_WITHIN_S, look)
            wrong = self._answer(follower) + self._everything_taken_up()
            # A wrongly doubled record would come after the case is complete and the copy was taken up.
            time.sleep(1.0)
            with follower.lock:
                stories = dict(follower.stories)
        self._console.print()
        show.summary(self._console, inputs, stories, self._started)
        self._tell("")
        self._tell(show.agreement(inputs, stories))
        for line in show.latencies(inputs, stories, self._started).splitlines():
            self._tell(line)
        wrong = reconcile(published, stories) + wrong
        if not wrong:
            cases = len({each.case_id for each in published})
            escalations = sum(len(story.escalations) for story in stories.values())
            self._tell(f"every input has its outcome: {len(inputs)} inputs, {cases} cases, {escalations} escalations")
        return wrong + self._verify_audit()

    def _publish(self, inputs: Inputs, look: Callable[[], None]) -> None:
        # A producer publishes a case only once; the copy goes through a second one, so that the stages receive it.
        with CaseProducer(self._system.settings) as first, CaseProducer(self._system.settings) as second:
            for planned in self._planned:
                producer = second if planned.kind is InputKind.DUPLICATE else first
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
                published = Published(
                    case_id=done.case_id, event_id=done.event_id, kind=planned.kind, emergency=planned.emergency
                )
                inputs.append((planned, published))
                look()
                if self._console.is_terminal and len(inputs) <= PACED:
                    time.sleep(PACE_S)

    def _answer(self, follower: Follower) -> list[str]:
        """Acknowledge one emergency, and see in the audit that its clock stopped."""
        with follower.lock:
            chosen = _most_urgent(list(follower.stories.values()))
        if chosen is None:
            return ["no escalation came that could be acknowledged"]
        self.answered = chosen.case_id
        self._tell(f"acknowledging {chosen.type.value} of case {str(chosen.case_id)[:8]} as {chosen.role}")
        with Acknowledger(self._system.settings) as desk:
            # A person's system would name them by its own token; here nobody is at the other end.
            answer = desk.answer(chosen, role=chosen.role, by=f"demo-{uuid4().hex}")
        if not answer.accepted:
            return [f"the acknowledgement of escalation {chosen.escalation_id} was refused: {answer.code}"]
        in_time = "in time" if answer.in_time else "late"
        self._tell(f"acknowledged: its clock stands still, {in_time}, and the audit says so")
        return []

    def _everything_taken_up(self) -> list[str]:
        """Wait until the inference stages have come to the end of what was published, the copy included."""
        cluster = Cluster(self._system.settings.bootstrap_servers)
        deadline = time.monotonic() + TAKEN_UP_WITHIN_S
        waiting = set(topics.CASES.values())
        while waiting and time.monotonic() < deadline:
            for topic in sorted(waiting):
                ends = cluster.written_ends((topic, number) for number in range(self._system.settings.partitions))
                positions = [cluster.committed_positions(group, ends) for group in ANSWERED_BY[topic]]
                if all(reached.get(place, 0) >= end for reached in positions for place, end in ends.items()):
                    waiting.discard(topic)
            time.sleep(0.1)
        return [f"{topic} was not read to its end" for topic in sorted(waiting)]

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
