"""Records that once ended a worker for ever (section 7, A1), and more of their kind on every topic that is read."""

from __future__ import annotations

from collections.abc import Callable

from ops.attacks.attack import Attack, Attacks, Strike
from ops.attacks.field import TOPIC, AttackError, Field, Headers
from ops.attacks.raw_batch import batch, send_batch
from ops.attacks.witness import Placed
from ops.chaos.hostile import KINDS
from schemas.envelope.dead_letter import ATTEMPT, FORWARDED, PREFIX
from streams import topics

JUNK = b"this is no Avro"
#: More than a worker inflates of a batch.
_MANY_MB = 500 * 2**20


def _of_the_campaign(kind: str) -> Strike:
    hostile = KINDS[kind]

    def strike(field: Field) -> None:
        key = b"" if hostile.keyed else None
        field.send(
            hostile.value(JUNK),
            key=key,
            headers=hostile.headers,
            compression_type="lz4",
            message_max_bytes=2 * len(hostile.value(JUNK) or b"") + 1_000_000,
        )

    return strike


def _raw(**more: object) -> Strike:
    def strike(field: Field) -> None:
        key = str(field.neighbour()).encode()
        data = batch([(key, JUNK, [("NAME", b"1")])], **more)  # type: ignore[arg-type]
        try:
            offset = send_batch(field.settings.bootstrap_servers, TOPIC, field.partition, data)
        except RuntimeError as error:
            raise AttackError(str(error)) from None
        field.sent.append(Placed(TOPIC, field.partition, offset, key))

    return strike


def _bomb(field: Field) -> None:
    field.send(b"a" * _MANY_MB, compression_type="zstd", message_max_bytes=900_000_000)


def _many_bombs(field: Field) -> None:
    # One batch of a few kilobytes, of records each of which is small enough for a dead letter.
    field.send_all(
        [bytes(1_000_000)] * 200,
        compression_type="zstd",
        message_max_bytes=900_000_000,
        batch_size=2_000_000_000 // 8,
        linger_ms=500,
    )


def _headers(headers: Headers) -> Strike:
    return lambda field: field.send(JUNK, headers=headers)


def _flood(field: Field) -> None:
    field.send_all([JUNK + str(at).encode() for at in range(2_000)])


def _wrong_partition(field: Field) -> None:
    case = field.case()
    away = (field.partition + 1) % field.settings.partitions
    key = str(case.case_id).encode()
    # A sound case where its key does not belong; another on the partition of the emergency, under a foreign key.
    field.send(field.serde.encode(case, TOPIC), key=key, partition=away)
    stranger = field.case(case_id=field.neighbour())
    field.notes["strangers"] = stranger.case_id
    field.send(field.serde.encode(stranger, TOPIC), key=b"\xff" * 900_000, heard=False)


def _stranger_judged(field: Field) -> str:
    answered = field.witness.until(
        lambda: bool(field.witness.of(field.notes["strangers"], topics.GRADINGS)) or _letters(field), 20.0
    )
    return "" if answered else "nobody was asked about the case under a foreign key"


def _letters(field: Field) -> bool:
    return field.witness.letters() > 0


def _forged_letter(field: Field) -> None:
    forged = [
        (PREFIX + "topic", topics.CASES_ROUTINE.encode()),
        (PREFIX + "partition", b"0"),
        (PREFIX + "offset", b"0"),
        (PREFIX + "pointer", b"1"),
        (PREFIX + "reader", b"escalation"),
        (FORWARDED, b"9" * 40),
        (FORWARDED, None),
        (ATTEMPT, b"-1"),
        (ATTEMPT, b"\xff" * 2_000),
    ]
    field.send(JUNK, headers=forged)
    # And a sound case that says that it was forwarded already, or tried a thousand times.
    case = field.case()
    field.send(
        field.serde.encode(case, TOPIC), key=str(case.case_id).encode(), headers=[(FORWARDED, b"1"), (ATTEMPT, b"999")]
    )


def _on(topic: str) -> Strike:
    """Every hostile kind that is small, on a topic within the pipeline."""

    def strike(field: Field) -> None:
        for kind in KINDS.values():
            value = kind.value(JUNK)
            if value is None or len(value) < 100_000:
                field.send(value, key=b"" if kind.keyed else None, headers=kind.headers, topic=topic)

    return strike


def _junk_that_nobody_answers(topic: str, count: int, key: bytes | None = b"") -> Strike:
    """A flood where nothing is a case: the topic's readers must pass over it."""
    values: Callable[[int], bytes | None] = lambda at: None if at % 2 else JUNK + str(at).encode()  # noqa: E731
    return lambda field: field.send_all([values(at) for at in range(count)], key=key, topic=topic, heard=False)


def _audit_forged(field: Field) -> None:
    case = str(field.neighbour()).encode()
    for key in (case + b"/grading/x", b"\xff\xfe", case + b"/" + b"k" * 100_000):
        field.send_all([JUNK, None], key=key, topic=topics.AUDIT, heard=False)


RECORDS: Attacks = {
    "an attempt that is null": Attack("7 A1", _of_the_campaign("an attempt that is null")),
    "an attempt of 5,000 digits": Attack("7 A1", _of_the_campaign("an attempt of 5,000 digits")),
    "a time before Christ": Attack("7 A1", _raw(first_ms=-(10**14))),
    "3 MB that compress to 13 kB": Attack("7 A1", _of_the_campaign("3 MB that compress to 13 kB")),
    "500 MB that compress to 15 kB": Attack("7 A1", _bomb),
    "a header name that is no UTF-8": Attack("7 A1", _raw(swap=(b"NAME", b"N\xff\xfeE"))),
    "neither key nor value": Attack("7 A1, kin", _of_the_campaign("neither key nor value")),
    "a tombstone": Attack("7 A1, kin", _of_the_campaign("a key and no value")),
    "a header without a name": Attack("7 A1, kin", _of_the_campaign("a header without a name")),
    "a schema id beyond every registry": Attack("7, held", _of_the_campaign("a schema id beyond every registry")),
    "20,000 headers of one name": Attack("own", _headers([(ATTEMPT, b"1")] * 20_000)),
    "a batch of 200 records of 1 MB in 20 kB": Attack("own", _many_bombs),
    "2,000 junk records in front": Attack("own", _flood),
    "keys that belong elsewhere": Attack("own", _wrong_partition, _stranger_judged),
    "headers of a dead letter, forged": Attack("own", _forged_letter),
    "poison on the inferences": Attack("own", _on(topics.INFERENCES)),
    "poison on the gradings": Attack("own", _on(topics.GRADINGS)),
    "poison among the answers": Attack("own", _on(topics.ACKNOWLEDGEMENTS)),
    "poison among the ticks": Attack("own", _on(topics.TICKS)),
    "20,000 junk orders to the models": Attack("own", _junk_that_nobody_answers(topics.MODEL_CONTROL, 20_000)),
    "forged audit entries and tombstones": Attack("own", _audit_forged),
}
