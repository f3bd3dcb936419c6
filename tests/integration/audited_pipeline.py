"""The runtime's loop and the real grading and escalation stages on topics of a test's own, one batch at a time.

Faust is left out, and nothing else: decoding, quarantine, leaving out of duplicates, audit entries and transactions are
the runtime's. So a test can stop the pipeline anywhere, and tamper with what really lies in the topics.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from schemas import ids
from schemas.envelope.partitioner import LIBRDKAFKA_PARTITIONER
from schemas.envelope.raw import RawRecord
from schemas.events import (
    AcknowledgementAction,
    AcknowledgementEvent,
    CaseEvent,
    EscalationEvent,
    Finding,
    ImageReference,
    InferenceEvent,
    Lane,
    ModelStatus,
    PatientContext,
    PipelineStage,
    StageClass,
)
from schemas.serde import Serde
from streams import topics
from streams.runtime.loop import StageLoop
from streams.runtime.outbox import Outbox
from streams.runtime.records import AuditNote, Input, InputProblem, Output, Result
from streams.runtime.stage import AnyStage, NoState, StatelessStage
from streams.runtime.state import PartitionState
from streams.stages.escalation.stage import EscalationStage
from streams.stages.grading.quarantine import Quarantine
from streams.stages.grading.stage import GradingStage
from streams.stages.policy.file import load_policy
from tests.services import KafkaService, RegistryService

#: Two tell as much as four of what lies where, in half the time.
PARTITIONS = 2
TOPICS = tuple(topic for topic in topics.ALL if not topic.name.endswith(".state"))


class ScriptedInference(StatelessStage[CaseEvent]):
    """Says what the case's producer asks for: `stage_3`, or that the picture is broken."""

    deduplicates = True
    accepts = (CaseEvent,)

    def __init__(self, lane: Lane, quarantine: Quarantine) -> None:
        self.name = f"inference-{lane.value}"
        self.inputs = (topics.CASES[lane],)
        self.lane = lane
        self.quarantine = quarantine
        self.repaired = False

    async def handle(self, record: Input[CaseEvent, NoState]) -> Result:
        case = record.event
        if case.producer == "broken" and not self.repaired:
            return Result(problem=InputProblem(reason="hash_mismatch", detail="the picture is another one"))
        now = datetime.now(UTC)
        event = InferenceEvent(
            event_id=ids.derived_id(case.event_id, "inference", "test-1"),
            case_id=case.case_id,
            source_event_id=case.event_id,
            lane=case.lane,
            captured_at=case.captured_at,
            published_at=case.published_at,
            taken_up_at=now,
            inferred_at=now,
            patient_token=case.patient_token,
            image=case.image,
            context=case.context,
            findings=(Finding(stage=StageClass.STAGE_3, confidence=0.9, probabilities={"stage_3": 0.9}),),
            model_version="test-1",
            model_status=ModelStatus.JUDGED,
        )
        received = AuditNote(
            event_id=case.event_id,
            case_id=case.case_id,
            topic=record.raw.topic,
            outcome=f"received:{self.lane.value}",
            stage=PipelineStage.INGEST,
            output_hash=record.hash,
        )
        judged = Output(topic=topics.INFERENCES, event=event, outcome="judged:stage_3", stage=PipelineStage.INFERENCE)
        return Result(outputs=(judged,), notes=(received,))

    def on_problem(self, raw: RawRecord, event: CaseEvent | None, problem: InputProblem) -> Result:
        return self.quarantine.ask(raw, event, problem, self.lane)


class AuditedPipeline:
    """Topics behind a prefix, and the stages that work on them when told to."""

    def __init__(self, kafka: KafkaService, registry: RegistryService, prefix: str) -> None:
        self.bootstrap_servers = kafka.bootstrap_servers
        self.prefix = prefix
        self.serde = Serde(registry.url)
        self.serde.register_all(topics.RECORDS)
        self.admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
        self.create(topic.name for topic in TOPICS)
        policy = load_policy(None)
        quarantine = Quarantine(policy)
        self.inference = ScriptedInference(Lane.ROUTINE, quarantine)
        self.grading = GradingStage(policy, quarantine)
        self.escalation = EscalationStage(policy, quarantine, self.serde, ticker=None)  # type: ignore[arg-type]
        self._runners: dict[str, _Runner] = {}
        self._producer = Producer(
            {"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0, **LIBRDKAFKA_PARTITIONER}
        )

    def create(self, names: Iterable[str], **config: str) -> None:
        made = [
            NewTopic(self.prefix + name, PARTITIONS, 1, config={**topics.BY_NAME[name].config, **config})
            for name in names
        ]
        for future in self.admin.create_topics(made, operation_timeout=30).values():
            future.result(30)

    def delete(self, *names: str) -> None:
        for future in self.admin.delete_topics([self.prefix + name for name in names], operation_timeout=30).values():
            future.result(30)

    def close(self) -> None:
        for runner in self._runners.values():
            runner.consumer.close()
        self.delete(*(topic.name for topic in TOPICS))
        self.serde.close()

    def publish(self, topic: str, event: Any, key: bytes | None = None) -> None:
        value = event if isinstance(event, bytes) else self.serde.encode(event, topic)
        self.put(topic, str(event.case_id).encode() if key is None else key, value)

    def put(self, topic: str, key: bytes | None, value: bytes | None, headers: Any = None, partition: int = -1) -> None:
        self._producer.produce(self.prefix + topic, value, key, partition, headers=headers)
        assert self._producer.flush(30) == 0

    def run(self, *stages: AnyStage) -> None:
        """Let these stages (all of them, in order, by default) read to the end of their topics."""
        for stage in stages or (self.inference, self.grading, self.escalation):
            if stage.name not in self._runners:
                self._runners[stage.name] = _Runner(self, stage)
            self._runners[stage.name].run()

    def read(self, topic: str) -> list[Message]:
        """All committed records of a topic, partition by partition."""
        consumer = _consumer(self.bootstrap_servers, "reader")
        try:
            consumer.assign([TopicPartition(self.prefix + topic, number, 0) for number in range(PARTITIONS)])
            return sorted(_to_the_end(consumer, PARTITIONS), key=lambda m: (m.partition(), m.offset()))
        finally:
            consumer.close()

    def rewrite(self, topic: str, messages: Sequence[tuple[int, bytes | None, bytes | None, Any]]) -> None:
        """The topic made anew with these records (partition, key, value, headers): what tampering takes."""
        self.delete(topic)
        self.create([topic])
        for partition, key, value, headers in messages:
            self.put(topic, key, value, headers, partition)

    def acknowledge(self, escalation: EscalationEvent) -> AcknowledgementEvent:
        event = AcknowledgementEvent(
            event_id=uuid4(),
            case_id=escalation.case_id,
            escalation_id=escalation.escalation_id,
            action=AcknowledgementAction.ACKNOWLEDGE,
            role=escalation.role,
            acknowledged_at=datetime.now(UTC),
            acknowledged_by="person-" + "0" * 32,
        )
        self.publish(topics.ACKNOWLEDGEMENTS, event)
        return event

    def escalations(self) -> list[EscalationEvent]:
        found = [
            self.serde.decode(m.value() or b"", topic)
            for topic in topics.ESCALATIONS.values()
            for m in self.read(topic)
        ]
        return [event for event in found if isinstance(event, EscalationEvent)]


class _Runner:
    """One stage with its outbox, its state, its consumer and its transactional producer."""

    def __init__(self, pipeline: AuditedPipeline, stage: AnyStage) -> None:
        self.pipeline, self.stage = pipeline, stage
        self.outbox = Outbox()
        self.states: dict[int, PartitionState[Any]] = {}
        stage.partition_count = PARTITIONS
        for number in range(PARTITIONS):
            self.outbox.assign(number, 1)
            self.states[number] = PartitionState(stage.new_state(number))
        self.loop = StageLoop(stage, pipeline.serde, self.outbox, self.states, self.flush_outbox)
        self.loop.encoder.partition_count = PARTITIONS
        self.consumer = _consumer(pipeline.bootstrap_servers, stage.group)
        self.places = [TopicPartition(pipeline.prefix + t, n, 0) for t in stage.inputs for n in range(PARTITIONS)]
        self.producer = Producer(
            {
                "bootstrap.servers": pipeline.bootstrap_servers,
                "transactional.id": pipeline.prefix + stage.group,
                "log_level": 0,
                **LIBRDKAFKA_PARTITIONER,
            }
        )
        self.producer.init_transactions(30)

    async def flush_outbox(self) -> None:
        """The test flushes."""

    def run(self) -> None:
        self.consumer.assign(self.places)
        messages = _to_the_end(self.consumer, len(self.places))
        for place in {(m.topic(), m.partition()): m for m in messages}.values():
            self.places = [
                TopicPartition(p.topic, p.partition, place.offset() + 1)
                if (p.topic, p.partition) == (place.topic(), place.partition())
                else p
                for p in self.places
            ]
        asyncio.run(self.loop.process([_faust_like(message, self.pipeline.prefix) for message in messages]))
        for number in range(PARTITIONS):
            while (batch := self.outbox.take(number, 500)) is not None:
                self.producer.begin_transaction()
                for record in batch.records:
                    if not record.topic.endswith(".state"):
                        where = -1 if record.partition is None else record.partition
                        headers = list(record.headers)
                        name = self.pipeline.prefix + record.topic
                        self.producer.produce(name, record.value, record.key, where, headers=headers)
                done = [TopicPartition(self.pipeline.prefix + t, number, o) for t, o in batch.offsets.items()]
                self.producer.send_offsets_to_transaction(done, self.consumer.consumer_group_metadata(), 30)
                self.producer.commit_transaction(30)
                self.outbox.committed(number, 1, batch)


def _faust_like(message: Message, prefix: str) -> SimpleNamespace:
    return SimpleNamespace(
        topic=(message.topic() or "").removeprefix(prefix),
        partition=message.partition(),
        offset=message.offset(),
        timestamp=message.timestamp()[1] / 1000,
        key=message.key(),
        value=message.value(),
        headers=message.headers(),
        generation_id=1,
    )


def _consumer(bootstrap_servers: str, group: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": group,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 10,
            "log_level": 0,
        }
    )


def _to_the_end(consumer: Consumer, partitions: int) -> list[Message]:
    messages: list[Message] = []
    ended: set[tuple[str, int]] = set()
    while len(ended) < partitions:
        message = consumer.poll(30)
        assert message is not None
        if message.error() is None:
            messages.append(message)
        else:
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            ended.add((message.topic() or "", message.partition() or 0))
    return messages


def case_event(producer: str = "test", case_id: UUID | None = None, lane: Lane = Lane.ROUTINE) -> CaseEvent:
    case_id = case_id or uuid4()
    now = datetime.now(UTC)
    return CaseEvent(
        event_id=ids.case_event_id(case_id, lane.value),
        case_id=case_id,
        lane=lane,
        captured_at=now,
        published_at=now,
        patient_token="vpt1-00000000-" + "d" * 64,
        image=ImageReference(uri="file:///pictures/a", sha256="0" * 64, size_bytes=1, media_type="image/jpeg"),
        context=PatientContext(age=80, diabetes=True),
        producer=producer,
    )
