"""One transaction on one producer: it is committed only when the broker has taken every record of it.

aiokafka does not see to that: its commit waits for the records' batches but not for what became of them, and commits a
transaction without the record that was refused, offsets included. So every record is confirmed before the commit is
asked for. That costs no round trip: the commit would wait for the same answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from aiokafka import TopicPartition, errors

from streams.runtime.outbox import Batch

#: What says that the producer's session with the broker is over, and nothing of any record. An unexpected answer ends
#: aiokafka's sender, and all that waits on it gets a bare KafkaError.
_LOST = (
    errors.InvalidProducerIdMapping,
    errors.UnknownProducerId,
    errors.OutOfOrderSequenceNumber,
    errors.InvalidTxnState,
    errors.IllegalOperation,
    errors.ProducerClosed,
    errors.KafkaConnectionError,
    errors.KafkaTimeoutError,
    errors.UnknownTopicOrPartitionError,
)
#: What whoever runs the cluster must mend: it holds for every record alike.
_NOT_ALLOWED = (
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
    errors.TransactionalIdAuthorizationFailed,
)
#: Refusals that the same record meets every time; any other may pass, and is tried again first.
_CERTAIN = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError, errors.InvalidTimestampError)


class TransactionalProducer(Protocol):
    """What is used of `aiokafka.AIOKafkaProducer`, one per partition."""

    async def start(self) -> None:
        """Connect, fence whoever has the same transactional id, and end the transaction it left open."""

    async def stop(self) -> None:
        """Disconnect; an open transaction is left to the next owner."""

    async def begin_transaction(self) -> None:
        """Begin; one transaction at a time. Raises ProducerFenced, like all that follow."""

    async def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int | None,
        timestamp_ms: int | None,
        headers: Sequence[tuple[str, bytes | None]],
    ) -> Awaitable[object]:
        """Put a record on its way; what is returned ends when the broker has taken or refused it."""

    async def send_offsets_to_transaction(self, offsets: Mapping[TopicPartition, int], group_id: str) -> None:
        """Let the transaction commit these offsets of the consumer group."""

    async def commit_transaction(self) -> None:
        """Make it visible: all that the broker has taken, also where it has refused something."""


class RefusedError(Exception):
    """The broker (or the producer) will not take a record; the transaction was not committed.

    `entries` are the positions in the batch of the entries whose records were refused, `reason` is the error's name.
    `certain`: the same record would be refused again; otherwise it may be worth another try.
    """

    def __init__(self, entries: frozenset[int], error: BaseException) -> None:
        super().__init__(type(error).__name__)
        self.entries = entries
        self.reason = type(error).__name__
        self.certain = isinstance(error, _CERTAIN) or not isinstance(error, errors.KafkaError)
        self.by_time = isinstance(error, errors.InvalidTimestampError)


class ProducerLostError(Exception):
    """The producer cannot go on and the transaction was not committed: a new producer carries the batch out."""


async def carry_out(
    producer: TransactionalProducer, batch: Batch, partition: int, group: str, stamp_ms: int | None
) -> None:
    """Carry the batch out in one transaction; `stamp_ms` is the time of its records (None: now).

    Raises ProducerFenced, RefusedError or ProducerLostError where nothing of it is committed; the producer is of no
    further use then. Whatever else it raises, nothing is known of the transaction's end.
    """
    owners: list[int] = []
    sent: list[Awaitable[object]] = []
    try:
        await _begin(producer)
        for position, entry in enumerate(batch.entries):
            for record in entry.records:
                owners.append(position)
                sent.append(
                    await producer.send(
                        record.topic,
                        value=record.value,
                        key=record.key,
                        partition=record.partition,
                        timestamp_ms=stamp_ms,
                        headers=list(record.headers),
                    )
                )
        offsets = {TopicPartition(topic, partition): offset for topic, offset in batch.offsets.items()}
        answers = await _confirmed(sent, _send_offsets(producer, offsets, group))
    except ProducerLostError:
        raise
    except Exception as error:
        _retrieve(sent)
        # Where the last record was not put on its way, it is that record which the producer will not take.
        raise _verdict([(owners[-1], error)] if len(owners) > len(sent) else [], error) from None
    failed = [(owner, answer) for owner, answer in zip(owners, answers, strict=True) if isinstance(answer, Exception)]
    if failed:
        raise _verdict(failed, failed[0][1]) from None
    await producer.commit_transaction()


async def _confirmed(sent: Sequence[Awaitable[object]], offsets: Coroutine[Any, Any, None]) -> Sequence[object]:
    """What became of each record, once the offsets are in the transaction too; both are on their way at once.

    It does not wait for the offsets where a record was refused, nor for the records where the offsets were.
    """
    confirming = asyncio.ensure_future(asyncio.gather(*sent, return_exceptions=True))
    offsetting = asyncio.ensure_future(offsets)
    try:
        await asyncio.wait((confirming, offsetting), return_when=asyncio.FIRST_COMPLETED)
        if not (offsetting.done() and offsetting.exception() is not None):
            answers = await confirming
            if any(isinstance(answer, Exception) for answer in answers):
                return answers
        await offsetting
        return await confirming
    finally:
        offsetting.cancel()
        confirming.cancel()


async def _begin(producer: TransactionalProducer) -> None:
    try:
        await producer.begin_transaction()
    except AssertionError:
        # Its sender died since the last transaction.
        raise ProducerLostError("the producer had failed before") from None


async def _send_offsets(producer: TransactionalProducer, offsets: Mapping[TopicPartition, int], group: str) -> None:
    if offsets:
        await producer.send_offsets_to_transaction(offsets, group)


def _retrieve(sent: Sequence[Awaitable[object]]) -> None:
    """See to it that no error of these is reported as never retrieved."""
    for future in sent:
        if isinstance(future, asyncio.Future):
            future.add_done_callback(lambda done: done.cancelled() or done.exception())


def _verdict(failed: Sequence[tuple[int, Exception]], first: Exception) -> Exception:
    """What the failure of these entries means; `first` is the error where none of them is at fault."""
    for error in (first, *(error for _, error in failed)):
        if _ends_here(error):
            return error
    # What follows a refused record on its partition fails as out of order: the refusal is the cause.
    refused = [(owner, error) for owner, error in failed if not _is_loss(error)]
    if refused:
        return RefusedError(frozenset(owner for owner, _ in refused), refused[0][1])
    return ProducerLostError(type(first).__name__) if _is_loss(first) else first


def _ends_here(error: Exception) -> bool:
    return isinstance(error, (errors.ProducerFenced, *_NOT_ALLOWED))


def _is_loss(error: Exception) -> bool:
    return isinstance(error, _LOST) or type(error) is errors.KafkaError
