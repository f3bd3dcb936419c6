"""`vigia consume`: look at the events of a topic, decoded; or follow it as a consumer group."""

from __future__ import annotations

import click

from ops.system import stopping
from ops.system.context import load_settings
from ops.terminal.plain import echo, echo_json
from streams.client import EventConsumer, ReceivedEvent
from streams.liveness import where_supervised


@click.command("consume")
@click.argument("topics", nargs=-1, required=True, metavar="TOPIC...")
@click.option("--group", help="Consumer group: goes on where it stopped. Without one: all events, no position kept.")
@click.option("--max", "most", type=click.IntRange(min=1), help="Stop after so many events.")
@click.option("--timeout", type=click.FloatRange(min=0), help="Stop when no event came for so many seconds.")
@click.option("--json", "as_json", is_flag=True, help="Write each event whole, as one line of JSON.")
def command(topics: tuple[str, ...], group: str | None, most: int | None, timeout: float | None, as_json: bool) -> None:
    """Print the committed events of TOPIC as they come, until ctrl-C.

    A record that cannot be decoded is printed with the reason; exit code 1 if there was one.
    """
    undecoded = 0
    with (
        where_supervised() as alive,
        EventConsumer(load_settings(), topics, group, alive=alive) as consumer,
        stopping.calling(consumer.stop),
    ):
        for count, received in enumerate(consumer.events(timeout), start=1):
            echo_json(received.as_mapping()) if as_json else echo(_line(received))
            undecoded += received.decoded is None
            if most is not None and count >= most:
                consumer.mark_handled()
                break
    if undecoded:
        raise click.exceptions.Exit(1)


def _line(received: ReceivedEvent) -> str:
    place = f"{received.topic}[{received.partition}]@{received.offset}"
    if received.decoded is None:
        return f"{place}  cannot be decoded: {received.error}"
    event = received.decoded
    told = [type(event).__name__, f"case {event.case_id}" if hasattr(event, "case_id") else ""]
    for name in (
        "lane",
        "kind",
        "model_status",
        "severity",
        "type",
        "level",
        "role",
        "action",
        "outcome",
        "respond_by",
    ):
        value = getattr(event, name, None)
        if value is not None:
            told.append(f"{name}={value.isoformat(timespec='seconds') if hasattr(value, 'isoformat') else value}")
    return f"{place}  {'  '.join(part for part in told if part)}"
