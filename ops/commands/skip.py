"""`vigia skip`: lay aside by hand the record at which a consumer group stands still."""

from __future__ import annotations

import click
from confluent_kafka import KafkaException

from ops.system.connect import broker_address
from ops.terminal.plain import echo
from streams.broker.words import in_words
from streams.pipeline import STAGES, StageDeclaration
from streams.runtime.orders import SkipOrder
from streams.runtime.skip import Reader, SkipError, order_skip, passed


@click.command("skip")
@click.argument("topic")
@click.argument("partition", type=click.IntRange(min=0))
@click.argument("offset", type=click.IntRange(min=0))
@click.option("--reason", required=True, help="Why, in one line; it is audited. No patient data.")
@click.option("--group", help="The consumer group, where several read the topic.")
@click.option("--wait", default=60.0, show_default=True, type=click.FloatRange(min=0), help="Seconds to wait for it.")
def command(topic: str, partition: int, offset: int, reason: str, group: str | None, wait: float) -> None:
    """Lay aside the record at OFFSET of PARTITION, at which the stage that reads TOPIC does not get past.

    The record is not deleted: a dead letter points to it, the audit says so, and people are asked to look at it. The
    worker that takes the partition over next does it. Refused where the group stands elsewhere. Exit code 1: ordered,
    and not done yet.
    """
    if not reason.strip() or len(reason) > 200 or not reason.isprintable():
        raise click.UsageError("--reason must be one line of at most 200 characters")
    stage = _reader(topic, group)
    address = broker_address()
    try:
        reader = Reader(group=stage.group, state_topic=stage.state_topic)
        order_skip(address, reader, partition, SkipOrder(topic, offset, reason.strip()))
        place = f"{topic}[{partition}]@{offset}"
        echo(f"{place}: ordered; the worker of {stage.group} that takes the partition over next lays it aside")
        if not passed(address, stage.group, topic, partition, offset, wait):
            echo(f"not done yet: end the worker that holds the partition, or start one ({stage.group})", err=True)
            raise click.exceptions.Exit(1)
    except KafkaException as error:
        raise SkipError(f"the broker did not answer: {in_words(error.args[0])}") from None
    echo(f"{place}: {stage.group} is past it; look at it with: vigia dead-letters list")


def _reader(topic: str, group: str | None) -> StageDeclaration:
    readers = [stage for stage in STAGES if topic in stage.reads and group in (None, stage.group)]
    if not readers:
        known = ", ".join(sorted({name for stage in STAGES for name in stage.reads}))
        raise click.UsageError(f"no stage{f' of group {group}' if group else ''} reads {topic}; stages read: {known}")
    if len(readers) > 1:
        raise click.UsageError(f"name one with --group: {', '.join(stage.group for stage in readers)}")
    return readers[0]
