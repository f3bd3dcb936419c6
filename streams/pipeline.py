"""The pipeline, declared once: which stage reads and writes which topics, and what the audit must say of it.

Everything that has to know the pipeline is derived from `STAGES`: state topics, programs, the audit's verification, the
groups whose lag is expected, clinical waiting times, the canary, the chaos verifier, AsyncAPI, diagrams; compose and
alert rules are held against it by tests. How each topic must be is in `streams.topics`; docs/extending.md says what
else a new stage needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from schemas.events import EscalationType, Lane, PipelineStage

CASES_EMERGENCY = "vigia.cases.emergency"
CASES_ROUTINE = "vigia.cases.routine"
INFERENCES = "vigia.inferences"
GRADINGS = "vigia.gradings"
ESCALATIONS_EMERGENCY = "vigia.escalations.emergency"
ESCALATIONS_SPECIALIST_REVIEW = "vigia.escalations.specialist-review"
ESCALATIONS_HUMAN_REVIEW = "vigia.escalations.human-review"
ESCALATIONS_HIGH_RISK = "vigia.escalations.high-risk"
ESCALATIONS_SYSTEM_ERROR = "vigia.escalations.system-error"
ACKNOWLEDGEMENTS = "vigia.acknowledgements"
TICKS = "vigia.ticks"
AUDIT = "vigia.audit"
DEAD_LETTERS = "vigia.dead-letters"
MODEL_CONTROL = "vigia.model-control"

CASES: Mapping[Lane, str] = {Lane.EMERGENCY: CASES_EMERGENCY, Lane.ROUTINE: CASES_ROUTINE}
ESCALATIONS: Mapping[EscalationType, str] = {
    EscalationType.EMERGENCY: ESCALATIONS_EMERGENCY,
    EscalationType.SPECIALIST_REVIEW: ESCALATIONS_SPECIALIST_REVIEW,
    EscalationType.HUMAN_REVIEW: ESCALATIONS_HUMAN_REVIEW,
    EscalationType.HIGH_RISK: ESCALATIONS_HIGH_RISK,
    EscalationType.SYSTEM_ERROR: ESCALATIONS_SYSTEM_ERROR,
}
#: Topics that others write and the pipeline answers, in the order in which a case meets them.
INPUTS: tuple[str, ...] = (*CASES.values(), ACKNOWLEDGEMENTS)
#: What every stage may write besides its own outputs: its audit, what it cannot process, and the request to people.
WRITTEN_BY_ALL: tuple[str, ...] = (GRADINGS, DEAD_LETTERS, AUDIT)

Entries = Mapping[str, PipelineStage]
_NONE: Entries = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class StageDeclaration:
    """One consumer group of the pipeline. The mappings are topic → the stage that its audit entries name."""

    #: Metric label, and part of the group id and of the state topic's name.
    name: str
    #: Folder below `streams/stages`, and what `vigia worker` calls it.
    package: str
    #: Lane that this group serves, where a package runs once per lane.
    lane: Lane | None = None
    reads: tuple[str, ...]
    #: Topics of `reads` on which a case waits for this stage; every record there leads to an audit entry of the stage.
    passes: tuple[str, ...] = ()
    #: Records of its own, each with an audit entry of its own.
    writes: Entries = field(default_factory=lambda: _NONE)
    #: Records of others, of which it writes the audit entry when it has taken them up.
    takes_up: Entries = field(default_factory=lambda: _NONE)
    #: Records of others, about which it may add an audit entry.
    remarks_on: Entries = field(default_factory=lambda: _NONE)
    #: Records of others that it may answer without a record of its own: the entry names the same hash twice.
    settles: Entries = field(default_factory=lambda: _NONE)
    #: Topics to which it may send a record again, unchanged, for another partition.
    forwards: tuple[str, ...] = ()
    #: Whether it gives way to everything else on the machine.
    background: bool = False
    #: Environment variable without which it does not run; None: it always does.
    needs: str | None = None

    @property
    def group(self) -> str:
        """Consumer group id, and prefix of the transactional ids."""
        return f"vigia-{self.name}"

    @property
    def state_topic(self) -> str:
        """Compacted topic of the stage's state, with as many partitions as its inputs."""
        return f"vigia.{self.name}.state"

    @property
    def arguments(self) -> tuple[str, ...]:
        """Command line after `vigia` that runs one worker."""
        return ("worker", self.package, *(() if self.lane is None else ("--lane", self.lane.value)))

    @property
    def written(self) -> tuple[str, ...]:
        """Every topic to which a transaction of the stage may write, its state included."""
        return _distinct((*self.writes, *self.forwards, *WRITTEN_BY_ALL, self.state_topic))

    @property
    def answers(self) -> tuple[str, ...]:
        """Topics of which every record must lead to an audit entry once the stage has read past it."""
        return _distinct((*self.passes, *self.takes_up))


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _inference(lane: Lane, *, background: bool) -> StageDeclaration:
    topic = CASES[lane]
    return StageDeclaration(
        name=f"inference-{lane.value}",
        package="inference",
        lane=lane,
        reads=(topic,),
        passes=(topic,),
        takes_up={topic: PipelineStage.INGEST},
        writes={INFERENCES: PipelineStage.INFERENCE},
        # A change of models is audited with the first case that is judged after it.
        remarks_on={MODEL_CONTROL: PipelineStage.CONTROL},
        background=background,
    )


#: In the order in which a case passes them.
STAGES: tuple[StageDeclaration, ...] = (
    # The emergency lane never waits for the routine lane: its own process, and the operating system prefers it.
    _inference(Lane.EMERGENCY, background=False),
    _inference(Lane.ROUTINE, background=True),
    StageDeclaration(
        name="grading",
        package="grading",
        reads=(INFERENCES,),
        passes=(INFERENCES,),
        writes={GRADINGS: PipelineStage.GRADING},
    ),
    StageDeclaration(
        name="escalation",
        package="escalation",
        reads=(GRADINGS, ACKNOWLEDGEMENTS, TICKS),
        passes=(GRADINGS,),
        takes_up={ACKNOWLEDGEMENTS: PipelineStage.ACKNOWLEDGEMENT},
        writes=dict.fromkeys(ESCALATIONS.values(), PipelineStage.ESCALATION),
        # A demand merged into an open one; of earlier versions, an escalation that expired.
        settles={GRADINGS: PipelineStage.ESCALATION},
        forwards=(ACKNOWLEDGEMENTS,),
    ),
    StageDeclaration(
        name="notification",
        package="notification",
        reads=tuple(ESCALATIONS.values()),
        remarks_on=dict.fromkeys(ESCALATIONS.values(), PipelineStage.NOTIFICATION),
        needs="VIGIA_NOTIFY_FILE",
    ),
)

#: Names that `vigia worker` takes.
PACKAGES: tuple[str, ...] = _distinct(stage.package for stage in STAGES)
#: Topic → consumer groups of the stages that read it; two may read one topic.
READERS: Mapping[str, tuple[str, ...]] = {
    topic: tuple(stage.group for stage in STAGES if topic in stage.reads)
    for topic in _distinct(topic for stage in STAGES for topic in stage.reads)
}
#: Topic → consumer groups of the stages that must answer each of its records.
ANSWERED_BY: Mapping[str, tuple[str, ...]] = {
    topic: tuple(stage.group for stage in STAGES if topic in stage.answers)
    for topic in _distinct(topic for stage in STAGES for topic in stage.answers)
}
#: Topics in which stages write what they decided.
DECISIONS: tuple[str, ...] = _distinct(topic for stage in STAGES for topic in stage.writes)
#: Every topic to which some stage may write, but for the state topics.
WRITTEN: tuple[str, ...] = _distinct(topic for stage in STAGES for topic in stage.written if topic != stage.state_topic)
#: Topic → stage whose audit entries account for its records.
WRITERS: Mapping[str, PipelineStage] = {
    DEAD_LETTERS: PipelineStage.QUARANTINE,
    **{topic: entry for stage in STAGES for topic, entry in (*stage.writes.items(), *stage.takes_up.items())},
}
#: Topic → stages that may remark on a record which another one accounts for.
REMARKS: Mapping[str, frozenset[PipelineStage]] = {
    topic: frozenset(stage.remarks_on[topic] for stage in STAGES if topic in stage.remarks_on)
    for topic in _distinct(topic for stage in STAGES for topic in stage.remarks_on)
}
#: Topic → stages that may answer a record of it without a record of their own.
SETTLED: Mapping[str, frozenset[PipelineStage]] = {
    topic: frozenset(stage.settles[topic] for stage in STAGES if topic in stage.settles)
    for topic in _distinct(topic for stage in STAGES for topic in stage.settles)
}
#: Topics that entries remark on, and of whose records none is accounted for: compacted, and not keyed by case.
REMARKED_ONLY: tuple[str, ...] = tuple(topic for topic in REMARKS if topic not in WRITERS)
#: Every topic whose records the audit accounts for, in the order in which a case meets them.
COVERED: tuple[str, ...] = _distinct((*CASES.values(), *DECISIONS, ACKNOWLEDGEMENTS, DEAD_LETTERS))
#: Topics to which a dead letter can be sent back: some stage reads them, and the audit accounts for them.
REDRIVABLE: tuple[str, ...] = tuple(topic for topic in READERS if topic in COVERED)
#: What a case passes on its way to people: package → topics whose records show that it did.
STEPS: Mapping[str, tuple[str, ...]] = {
    package: _distinct(topic for stage in STAGES if stage.package == package for topic in stage.writes)
    for package in _distinct(stage.package for stage in STAGES if stage.passes)
}


def further_reader(topic: str, name: str) -> str:
    """The name of the stage `name` where an earlier one of `STAGES` reads the topic too; else the empty text."""
    first = next((stage.name for stage in STAGES if topic in stage.reads), name)
    return "" if first == name else name


def running(env: Mapping[str, str]) -> tuple[StageDeclaration, ...]:
    """The stages that must run where these environment variables are set."""
    return tuple(stage for stage in STAGES if stage.needs is None or env.get(stage.needs))
