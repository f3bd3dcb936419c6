"""Every topic, declared once: what travels on it, under which key, and how long it is kept.

All topics have the same number of partitions and, but for the audit, the control and the state topics, the case id as
key: what belongs to a case is on the same partition number everywhere, so a stage that joins topics finds its state
beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from schemas.events import (
    AcknowledgementEvent,
    AuditEntry,
    CaseEvent,
    EscalationEvent,
    EscalationType,
    GradingEvent,
    InferenceEvent,
    Lane,
    ModelControlEvent,
    Record,
    TickEvent,
)
from streams.pipeline import ACKNOWLEDGEMENTS as ACKNOWLEDGEMENTS
from streams.pipeline import AUDIT as AUDIT
from streams.pipeline import CASES as CASES
from streams.pipeline import CASES_EMERGENCY as CASES_EMERGENCY
from streams.pipeline import CASES_ROUTINE as CASES_ROUTINE
from streams.pipeline import DEAD_LETTERS as DEAD_LETTERS
from streams.pipeline import ESCALATIONS as ESCALATIONS
from streams.pipeline import ESCALATIONS_EMERGENCY as ESCALATIONS_EMERGENCY
from streams.pipeline import ESCALATIONS_HIGH_RISK as ESCALATIONS_HIGH_RISK
from streams.pipeline import ESCALATIONS_HUMAN_REVIEW as ESCALATIONS_HUMAN_REVIEW
from streams.pipeline import ESCALATIONS_SPECIALIST_REVIEW as ESCALATIONS_SPECIALIST_REVIEW
from streams.pipeline import ESCALATIONS_SYSTEM_ERROR as ESCALATIONS_SYSTEM_ERROR
from streams.pipeline import GRADINGS as GRADINGS
from streams.pipeline import INFERENCES as INFERENCES
from streams.pipeline import MODEL_CONTROL as MODEL_CONTROL
from streams.pipeline import STAGES, StageDeclaration
from streams.pipeline import TICKS as TICKS

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

#: Long enough to look into a decision, to replay a quarter under a new policy and to verify the audit chain against the
#: records themselves; what must be kept for seven years (hashes, codes, versions) is in the audit. Shorter loses
#: replays; longer keeps clinical context where it is not needed. Pictures are kept by the store, not by Kafka.
CLINICAL_RETENTION_MS = 90 * DAY_MS
#: A tick is worth nothing once a newer one is there; an hour is left for a look at what happened.
TICK_RETENTION_MS = HOUR_MS
#: A broker holds this limit against a whole batch. It is Kafka's own default: librdkafka fills batches to 1,000,000
#: bytes, and with a smaller limit a burst from a producer that knows nothing of us would be refused.
MAX_BATCH_BYTES = 1_048_588
#: A dead letter carries the record as it came and headers of its own, and must fit whatever came.
MAX_DEAD_LETTER_BYTES = 2 * MAX_BATCH_BYTES
#: An erased case (a tombstone in the audit) is gone from the disks after this and `SEGMENT_MS`, at the latest.
ERASURE_LAG_MS = 7 * DAY_MS

_DURABLE = {
    "unclean.leader.election.enable": "false",
    "compression.type": "producer",
    # The broker's clock, not the writer's: retention decides by a record's stamp, and stages decide deadlines by it. A
    # tablet whose clock said 2020 was confirmed and deleted unread; one two hours ahead could publish nothing. The
    # times of events are in the events.
    "message.timestamp.type": "LogAppendTime",
}
_EVENTS = {**_DURABLE, "max.message.bytes": str(MAX_BATCH_BYTES)}
#: Restoring reads the whole topic at every assignment: compact early, in small segments (the active one is never
#: compacted), to keep it short. Nothing is deleted by time: how far a stage has read must outlive any idle spell; the
#: stage itself removes marks of events seen (streams/runtime/state.py).
_STATE = {
    **_EVENTS,
    "cleanup.policy": "compact",
    "segment.bytes": str(16 * 1024 * 1024),
    "segment.ms": str(HOUR_MS),
    "min.cleanable.dirty.ratio": "0.1",
}


class Flow(StrEnum):
    """Who is on the other side of a topic."""

    INTO = "into"
    """Others publish, the pipeline reads."""
    OUT_OF = "out_of"
    """The pipeline publishes, others may subscribe."""
    WITHIN = "within"
    """The pipeline's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic as it must be. `record` is None where values are not Avro; `config` is what the broker must say of it."""

    name: str
    purpose: str
    record: type[Record] | None
    flow: Flow
    config: Mapping[str, str]
    key: str = "case id, UTF-8 text of the UUID"

    @property
    def compacted(self) -> bool:
        """Whether only the newest record of a key is kept."""
        return "compact" in self.config["cleanup.policy"]

    @property
    def retention_ms(self) -> int | None:
        """Milliseconds after which records are deleted; None: never."""
        return int(self.config["retention.ms"]) if "delete" in self.config["cleanup.policy"] else None


def _kept(retention_ms: int, base: Mapping[str, str] = _EVENTS) -> dict[str, str]:
    # The active segment is never deleted: without a roll in time, a quiet topic would keep its records far longer.
    return {
        **base,
        "cleanup.policy": "delete",
        "retention.ms": str(retention_ms),
        "segment.ms": str(min(retention_ms, 7 * DAY_MS)),
    }


def _cases(lane: Lane, purpose: str) -> Topic:
    config = _kept(CLINICAL_RETENTION_MS)
    return Topic(name=CASES[lane], purpose=purpose, record=CaseEvent, flow=Flow.INTO, config=config)


def _escalations(type: EscalationType, purpose: str) -> Topic:
    config = _kept(CLINICAL_RETENTION_MS)
    return Topic(name=ESCALATIONS[type], purpose=purpose, record=EscalationEvent, flow=Flow.OUT_OF, config=config)


def state_topic(stage: StageDeclaration) -> Topic:
    """The topic of a stage's state."""
    return Topic(
        name=stage.state_topic,
        purpose=f"State of the {stage.name} stage, restored at every assignment",
        record=None,
        flow=Flow.WITHIN,
        config=_STATE,
        key="one byte for the kind of entry, then the entry's own key",
    )


ALL: tuple[Topic, ...] = (
    _cases(Lane.EMERGENCY, "Cases that cannot wait, judged by processes of their own"),
    _cases(Lane.ROUTINE, "Cases to be judged in their turn"),
    Topic(
        name=INFERENCES,
        purpose="What the image model found in each case",
        record=InferenceEvent,
        flow=Flow.WITHIN,
        config=_kept(CLINICAL_RETENTION_MS),
    ),
    Topic(
        name=GRADINGS,
        purpose="What the clinical rules decided on each case",
        record=GradingEvent,
        flow=Flow.OUT_OF,
        config=_kept(CLINICAL_RETENTION_MS),
    ),
    _escalations(EscalationType.EMERGENCY, "Emergencies: people must look at once"),
    _escalations(EscalationType.SPECIALIST_REVIEW, "Cases for a wound specialist"),
    _escalations(EscalationType.HUMAN_REVIEW, "Cases that a person must look at"),
    _escalations(EscalationType.HIGH_RISK, "Patients at high risk without a lesion"),
    _escalations(EscalationType.SYSTEM_ERROR, "Failures of the system itself, for its administrators"),
    Topic(
        name=ACKNOWLEDGEMENTS,
        purpose="Answers of people to escalations",
        record=AcknowledgementEvent,
        flow=Flow.INTO,
        config=_kept(CLINICAL_RETENTION_MS),
    ),
    Topic(
        name=TICKS,
        purpose="Time as an event, one partition at a time",
        record=TickEvent,
        flow=Flow.WITHIN,
        config=_kept(TICK_RETENTION_MS),
        key="none; the partition number is chosen",
    ),
    Topic(
        name=AUDIT,
        purpose="Every decision and the hashes that chain it to its cause; kept for good",
        record=AuditEntry,
        flow=Flow.OUT_OF,
        config={
            **_EVENTS,
            "cleanup.policy": "compact",
            "segment.ms": str(7 * DAY_MS),
            "max.compaction.lag.ms": str(ERASURE_LAG_MS),
        },
        key="case id/stage/event id, on the case's partition; unique per decision, since compaction keeps one per key",
    ),
    Topic(
        name=DEAD_LETTERS,
        purpose="What a stage could not process: original key, value and headers, with headers that say why",
        record=None,
        flow=Flow.OUT_OF,
        config=_kept(CLINICAL_RETENTION_MS, {**_DURABLE, "max.message.bytes": str(MAX_DEAD_LETTER_BYTES)}),
        key="that of the original record",
    ),
    Topic(
        name=MODEL_CONTROL,
        purpose="Which model version judges, is tried, or is taken back",
        record=ModelControlEvent,
        flow=Flow.WITHIN,
        config=_STATE,
        key="what is controlled, so that the newest order stands",
    ),
    *(state_topic(stage) for stage in STAGES),
)

BY_NAME: Mapping[str, Topic] = {topic.name: topic for topic in ALL}

#: (topic, record) of every topic with Avro values: what `Serde.register_all` and `warm_up` take.
RECORDS: tuple[tuple[str, type[Record]], ...] = tuple((t.name, t.record) for t in ALL if t.record is not None)


def min_insync_replicas(replication: int) -> int:
    """In-sync replicas that must have a record before it counts: two of three or more, so that one broker may fail."""
    return 2 if replication >= 3 else 1
