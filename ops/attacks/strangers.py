"""What nobody had named: transactions that a stranger leaves open, states that are vandalised, storms of the sound."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from confluent_kafka import KafkaException

from ops.attacks.attack import Attack, Attacks, Strike
from ops.attacks.field import TOPIC, Field
from ops.attacks.records import JUNK
from ops.attacks.schemas_of_others import zigzag
from ops.attacks.witness import ESCALATIONS
from schemas.events import AcknowledgementAction, AcknowledgementEvent, ImageReference, TickEvent
from streams import topics
from streams.pipeline import STAGES

#: The longest that a broker grants by default.
_TRANSACTION_MS = 15 * 60_000


def _left_open(*names: str, count: int = 1) -> Strike:
    """A transaction with a record on each topic, that nobody ends: whoever reads what is committed reads no further."""

    def strike(field: Field) -> None:
        field.notes["producers"] = []
        for _ in range(count):
            producer = field.producer(transactional_id=f"stranger-{uuid4()}", transaction_timeout_ms=_TRANSACTION_MS)
            producer.init_transactions(30)
            producer.begin_transaction()
            for name in names:
                producer.produce(name, JUNK, key=str(field.neighbour()).encode(), partition=field.partition)
            producer.flush(30)
            field.notes["producers"].append(producer)

    return strike


def _ended(field: Field) -> str:
    for producer in field.notes["producers"]:
        # Where the system has ended it, there is nothing left to abort.
        with suppress(KafkaException):
            producer.abort_transaction(30)
    return ""


def _aborted(field: Field) -> None:
    producer = field.producer(transactional_id=f"stranger-{uuid4()}", transaction_timeout_ms=60_000)
    producer.init_transactions(30)
    for at in range(300):
        producer.begin_transaction()
        for number in range(20):
            producer.produce(TOPIC, JUNK * 50, key=f"{at}-{number}".encode(), partition=field.partition)
        producer.flush(30)
        producer.abort_transaction(30)


def _state(field: Field) -> None:
    """Junk among the states of a stage, and then a worker that starts anew, as after any update."""
    stage = next(each for each in STAGES if TOPIC in each.reads)
    for key in (b"\0", b"\xff" * 500, b"\1", b"\2" + bytes(16), str(field.neighbour()).encode(), b"o" * 17, b"s"):
        field.send_all([JUNK, b"", b"\xff" * 3_000, b"{"], key=key, topic=stage.state_topic, heard=False)
    running = field.target.workers()
    for pid, name in running.items():
        if stage.name in name or "emergency" in name:
            os.kill(pid, signal.SIGTERM)
            field.witness.until(lambda pid=pid: pid not in field.target.workers(), 30.0)  # type: ignore[misc]
    # How long a start takes is no matter of these.
    first = field.case()
    field.send_case(first)
    field.witness.until(lambda: bool(field.witness.of(first.case_id, *ESCALATIONS)), 90.0)


def _storm_of_one(field: Field) -> None:
    case = field.case()
    value = field.serde.encode(case, TOPIC)
    field.send_all([value] * 10_000, key=str(case.case_id).encode(), heard=False)


def _storm_of_answers(field: Field) -> None:
    case_id = field.neighbour()
    answers = [
        field.serde.encode(
            AcknowledgementEvent(
                event_id=uuid4(),
                case_id=case_id,
                escalation_id=uuid4(),
                action=AcknowledgementAction.ACKNOWLEDGE,
                role="wound_care_nurse",
                acknowledged_at=datetime.now(UTC),
                acknowledged_by="a" * 32,
            ),
            topics.ACKNOWLEDGEMENTS,
        )
        for _ in range(2_000)
    ]
    field.send_all(answers, key=str(case_id).encode(), topic=topics.ACKNOWLEDGEMENTS, heard=False)


def _edges_of_time(field: Field) -> None:
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    for when in (first, last, first + timedelta(days=1), last - timedelta(seconds=1)):
        case = field.case()
        field.send_case(case, field.unchecked(case, captured_at=when, published_at=when))
    case = field.case()
    value = field.serde.encode(case, TOPIC)
    for unit in (1_000, 1_000_000):
        long = zigzag(round(case.captured_at.timestamp() * unit))
        if long in value:
            field.send_case(case, value.replace(long, zigzag(2**63 - 1)))


def _ticks(field: Field) -> None:
    for when in (datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)):
        value = field.serde.encode(TickEvent(now=when), topics.TICKS)
        field.send_all([value] * 1_000, key=None, topic=topics.TICKS, heard=False)


def _no_files(field: Field) -> None:
    """In place of pictures: a pipe, a link in a circle, a folder, a device, and a file that is no longer there."""
    folder = field.images / "ff"
    folder.mkdir(exist_ok=True)
    pipe, circle, directory, zero = (folder / f"{at}{'f' * 63}.jpg" for at in "0123")
    os.mkfifo(pipe)
    circle.symlink_to(circle)
    directory.mkdir()
    zero.symlink_to("/dev/zero")
    for path in (pipe, circle, directory, zero, folder / "gone.jpg"):
        reference = ImageReference(uri=f"file://{path}", sha256="f" * 64, size_bytes=4_000, media_type="image/jpeg")
        field.send_case(field.case(image=reference))


STRANGERS: Attacks = {
    "a transaction left open among the cases": Attack("own", _left_open(TOPIC), _ended),
    "a transaction left open among the inferences": Attack("own", _left_open(topics.INFERENCES), _ended),
    "a transaction left open among the gradings": Attack("own", _left_open(topics.GRADINGS), _ended),
    "a transaction left open among the escalations": Attack("own", _left_open(*sorted(ESCALATIONS)), _ended),
    "20 transactions left open, one begun after the other": Attack("own", _left_open(TOPIC, count=20), _ended),
    "6,000 aborted records in front": Attack("own", _aborted),
    "junk among a stage's states, and a restart": Attack("own", _state),
    "10,000 copies of one emergency": Attack("own", _storm_of_one),
    "2,000 answers to nothing": Attack("own", _storm_of_answers),
    "cases of the years 1 and 9999": Attack("own", _edges_of_time),
    "2,000 ticks of the years 1 and 9999": Attack("own", _ticks),
    "pipes, circles and devices in place of pictures": Attack("own", _no_files),
}
