"""What no stage could process, as it lies in the dead-letter topic: found, shown, and matched with its audit entries.

Values hold patient context, so nothing here puts one into a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID, uuid5

from confluent_kafka import Message

from schemas.envelope.audit import audit_key, sha256_hex
from schemas.envelope.dead_letter import BOUNDED, POINTER, PREFIX, case_id_of, event_id_of, number_of, origin_of
from schemas.envelope.partitioner import partition_of_case
from schemas.envelope.pointer import Pointer
from schemas.envelope.raw import Headers, RawRecord, plausible_time
from schemas.errors import OneLineError
from schemas.events import PipelineStage
from schemas.ids import NAMESPACE
from streams import topics
from streams.broker.cluster import Cluster, spans
from streams.broker.headers import headers_of
from streams.broker.read import Place, Span, UnreadableError

#: The same dead letter is sent again at most so often; a search for earlier times looks no further.
MOST_REDRIVES = 20


class NoSuchLetterError(OneLineError, LookupError):
    """There is no dead letter at this address."""


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where a dead letter lies; written `partition/offset`."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """From `partition/offset`, with or without the topic before it. Raises ValueError."""
        parts = text.strip().split("/")
        if len(parts) not in (2, 3) or not all(part.isdigit() for part in parts[-2:]):
            raise ValueError("a dead letter's address is partition/offset, such as 2/41")
        return cls(int(parts[-2]), int(parts[-1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One dead letter. `origin` is the original record (its headers are what is left without ours); None where the
    record in the dead-letter topic does not say, and so was not put there by a stage.
    """

    address: Address
    written_at: datetime
    stage: str
    reason: str
    message: str
    attempt: int
    origin: RawRecord | None
    value: bytes | None = field(repr=False)
    #: In place of an original that is too large for a dead letter, or that nobody could read.
    pointer: Pointer | None = None
    #: Key or headers of the original are left out, being too large.
    bounded: bool = False

    @property
    def case_id(self) -> UUID | None:
        """The case it belongs to, as its audit entry has it."""
        return None if self.origin is None else case_id_of(self.origin)

    @property
    def audit_key(self) -> bytes | None:
        """Key of the audit entry that the stage wrote about it."""
        if self.origin is None:
            return None
        return audit_key(case_id_of(self.origin), PipelineStage.QUARANTINE, event_id_of(self.origin))

    def redrive_id(self, count: int) -> UUID:
        """Event id of the audit entry about the `count`th time (from 1) that it was sent again."""
        return uuid5(NAMESPACE, f"redrive\n{self.address}\n{count}")

    def redrive_key(self, count: int) -> bytes | None:
        """Key of that entry."""
        case_id = self.case_id
        return None if case_id is None else audit_key(case_id, PipelineStage.QUARANTINE, self.redrive_id(count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which dead letters; what is None is not looked at. `topic` is the original one."""

    stage: str | None = None
    reason: str | None = None
    topic: str | None = None
    case_id: UUID | None = None
    since: datetime | None = None

    def holds(self, letter: DeadLetter) -> bool:
        """Whether the letter is wanted."""
        return (
            self.stage in (None, letter.stage)
            and self.reason in (None, letter.reason)
            and (self.topic is None or (letter.origin is not None and letter.origin.topic == self.topic))
            and self.case_id in (None, letter.case_id)
            and (self.since is None or letter.written_at >= self.since)
        )


@dataclass(frozen=True, slots=True)
class Audited:
    """What the audit says of a dead letter: whether a stage wrote it, and how often it was sent again."""

    known: bool
    redriven: int


class DeadLetters:
    """Reads the dead letters of a cluster; `prefix` stands before every topic's name, as in a mirrored cluster.

    Every method raises UnreadableError when the cluster cannot be read.
    """

    def __init__(self, bootstrap_servers: str, *, prefix: str = "") -> None:
        self.cluster = Cluster(bootstrap_servers)
        self.bootstrap_servers = bootstrap_servers
        self.prefix = prefix

    def letters(self, wanted: Filter = Filter()) -> list[DeadLetter]:
        """The dead letters that are wanted, oldest first."""
        places = self.places(topics.DEAD_LETTERS)
        ends = self.cluster.readable_ends(places)
        if wanted.since is None:
            starts = self.cluster.starts(places)
        else:
            starts = self.cluster.offsets_at(places, int(wanted.since.timestamp() * 1000))
        found: list[DeadLetter] = []
        for chunk in self.cluster.read(spans(starts, ends)):
            found += (letter for letter in map(letter_of, chunk) if wanted.holds(letter))
        return sorted(found, key=lambda letter: (letter.written_at, letter.address))

    def letter(self, address: Address) -> DeadLetter:
        """The dead letter at this address. Raises NoSuchLetterError."""
        place = (self.prefix + topics.DEAD_LETTERS, address.partition)
        if place in self.places(topics.DEAD_LETTERS):
            start, end = self.cluster.starts([place])[place], self.cluster.readable_ends([place])[place]
            if start <= address.offset < end:
                for chunk in self.cluster.read({place: Span(address.offset, address.offset + 1)}):
                    return letter_of(chunk[0])
        raise NoSuchLetterError(f"there is no dead letter {address}: see `vigia dead-letters list`")

    def audited(self, letters: list[DeadLetter]) -> dict[Address, Audited]:
        """What the audit says of each of these, up to what is written now."""
        return audited(letters, ((message.key(), message.value()) for message in self._audit_since(letters)))

    def places(self, topic: str) -> list[Place]:
        """The partitions of a topic. Raises UnreadableError where there is none."""
        counts = self.cluster.partitions()
        if self.prefix + topic not in counts:
            raise UnreadableError(f"there is no topic {self.prefix}{topic}: run `vigia topics apply`")
        return [(self.prefix + topic, number) for number in range(counts[self.prefix + topic])]

    def _audit_since(self, letters: list[DeadLetter]) -> Iterator[Message]:
        """Audit records that can speak of these letters: on their cases' partitions, since the oldest of them."""
        cases = {letter.case_id for letter in letters if letter.case_id is not None}
        if not cases:
            return
        places = self.places(topics.AUDIT)
        homes = {partition_of_case(case.bytes, len(places)) for case in cases}
        places = [place for place in places if place[1] in homes]
        # The stage's clock writes a letter's time, the client's that of a record: a minute covers both.
        oldest = min(letter.written_at for letter in letters).timestamp() - 60
        starts = self.cluster.offsets_at(places, int(oldest * 1000))
        for chunk in self.cluster.read(spans(starts, self.cluster.written_ends(places))):
            yield from chunk


def audited(
    letters: Sequence[DeadLetter], entries: Iterable[tuple[bytes | None, bytes | None]]
) -> dict[Address, Audited]:
    """What these audit records (key and value, in order) say of each letter.

    A letter is known by its content, not by its headers: those of a genuine one can be put on any bytes. Several
    letters may have the same entry, since a record can be laid aside twice.
    """
    wanted = {key for letter in letters for key in _keys(letter)}
    standing: dict[bytes, bytes] = {}
    for key, value in entries:
        if key in wanted:
            assert key is not None
            if value is None:
                standing.pop(key, None)
            else:
                standing[key] = value
    return {letter.address: _audited(letter, standing) for letter in letters}


def _keys(letter: DeadLetter) -> list[bytes]:
    keys = [letter.audit_key, *(letter.redrive_key(count) for count in range(1, MOST_REDRIVES + 1))]
    return [key for key in keys if key is not None]


def _audited(letter: DeadLetter, standing: Mapping[bytes, bytes]) -> Audited:
    if not (keys := _keys(letter)):
        return Audited(known=False, redriven=0)
    # Avro writes an entry's hashes as text: to find one it need not be decoded.
    known = sha256_hex(letter.value).encode() in standing.get(keys[0], b"")
    return Audited(known=known, redriven=sum(key in standing for key in keys[1:]))


def letter_of(message: Message) -> DeadLetter:
    """The dead letter in a record of the dead-letter topic, whatever it holds."""
    headers = headers_of(message)
    ours = {name: value for name, value in headers if name.startswith(PREFIX)}
    stamped = message.timestamp()[1]
    written_ms = number_of(ours.get(PREFIX + "timestamp"), stamped)
    raw = origin_of(message.key(), message.value(), ours, stamped)
    return DeadLetter(
        address=Address(message.partition() or 0, message.offset() or 0),
        written_at=plausible_time(written_ms, datetime.now(UTC)),
        stage=_text(ours, "stage"),
        reason=_text(ours, "reason"),
        message=_text(ours, "message"),
        attempt=number_of(ours.get(PREFIX + "attempt")),
        origin=None if raw is None else replace(raw, headers=_of_others(headers)),
        value=message.value(),
        pointer=Pointer.from_bytes(message.value()) if POINTER in ours else None,
        bounded=BOUNDED in ours,
    )


def _of_others(headers: Headers) -> Headers:
    return tuple((name, value) for name, value in headers if not name.startswith(PREFIX))


def _text(headers: Mapping[str, bytes | None], name: str) -> str:
    return (headers.get(PREFIX + name) or b"").decode(errors="replace")
