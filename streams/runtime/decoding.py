"""From a consumed message to a typed event, or to the problem that keeps it from being one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Generic, Protocol

from schemas.envelope.raw import Headers, RawRecord
from schemas.errors import InvalidEventError, RegistryUnavailableError, UndecodableError
from schemas.record import Record
from streams import metrics
from streams.runtime.encoding import Encoder
from streams.runtime.fetching import Withheld
from streams.runtime.records import EventT, InputProblem, StateT
from streams.runtime.retry import Deadline, until_deadline
from streams.runtime.stage import Stage


class ConsumedMessage(Protocol):
    """What the runtime reads of a Faust message."""

    topic: str
    partition: int
    offset: int
    #: Seconds since the epoch, as the broker gives it.
    timestamp: float | None
    key: bytes | None
    value: bytes | None
    #: Faust gives a list of pairs, a mapping, or nothing.
    headers: Iterable[tuple[str, bytes]] | Mapping[str, bytes] | None
    #: Generation of the consumer group under which it was fetched.
    generation_id: int


class Codec(Encoder, Protocol):
    """What the runtime needs of `schemas.serde.Serde`."""

    def knows(self, value: bytes, topic: str) -> bool:
        """Whether `decode(value, topic)` answers without asking the registry, and so without blocking."""

    def decode(self, value: bytes, topic: str) -> Record:
        """The event in a record value of a topic.

        Raises UndecodableError, InvalidEventError or RegistryUnavailableError.
        """


class InputDecoder(Generic[EventT]):
    """Decodes what one stage reads; never raises for what a record holds."""

    def __init__(self, stage: Stage[EventT, StateT], codec: Codec) -> None:
        self._stage_name = stage.name
        self._accepts = stage.accepts
        self._patience_s = stage.patience_s
        self._codec = codec

    def deadline(self) -> Deadline:
        """Until when the registry is waited for: one for all the records of a batch."""
        return Deadline.after(self._patience_s)

    async def decode(self, raw: RawRecord, deadline: Deadline) -> EventT | InputProblem:
        """The event; a problem for bytes that are none, or that the stage does not read on any of its topics."""
        try:
            event = await self._decode(raw.topic, raw.value, deadline)
        except UndecodableError as error:
            return InputProblem(reason="undecodable", detail=str(error))
        except InvalidEventError as error:
            return InputProblem(reason="invalid_event", detail=str(error))
        except RegistryUnavailableError:
            return InputProblem(reason="registry_unavailable", detail="the schema registry did not answer in time")
        if not isinstance(event, self._accepts):
            return InputProblem(reason="unexpected_event", detail=f"a {type(event).__name__} on this topic")
        return event

    async def _decode(self, topic: str, value: bytes | None, deadline: Deadline) -> Record:
        if value is None:
            raise UndecodableError("the record has no value")
        if self._codec.knows(value, topic):
            return self._codec.decode(value, topic)
        if not deadline.left():
            raise RegistryUnavailableError("the batch has waited for the schema registry for as long as it may")
        # A schema id not met before: the registry is asked over HTTP, so not on the event loop.
        registry_up = metrics.REGISTRY_UP.labels(self._stage_name)
        registry_up.set(1)
        try:
            return await until_deadline(
                lambda: self._ask(value, topic, deadline),
                RegistryUnavailableError,
                deadline,
                stage=self._stage_name,
                dependency="registry",
            )
        except RegistryUnavailableError:
            registry_up.set(0)
            raise

    async def _ask(self, value: bytes, topic: str, deadline: Deadline) -> Record:
        """Decode in a thread, but not beyond the deadline; the thread ends by itself, its answer is kept."""
        try:
            async with asyncio.timeout(deadline.left()):
                return await asyncio.to_thread(self._codec.decode, value, topic)
        except TimeoutError:
            raise RegistryUnavailableError("the schema registry did not answer in time") from None


def raw_record(message: ConsumedMessage) -> RawRecord:
    """The message without what belongs to the consumer group."""
    withheld = message.value if isinstance(message.value, Withheld) else None
    return RawRecord(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp_ms=int((message.timestamp or 0) * 1000),
        key=message.key,
        value=message.value if withheld is None else None,
        headers=_pairs(message.headers),
        held=withheld is None,
        size=None if withheld is None else withheld.size,
    )


def _pairs(headers: Iterable[tuple[str, bytes]] | Mapping[str, bytes] | None) -> Headers:
    if not headers:
        return ()
    return tuple(headers.items() if isinstance(headers, Mapping) else headers)
