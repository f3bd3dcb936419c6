"""`vigia canary`: a synthetic case through the whole pipeline every few seconds."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import click
from confluent_kafka import KafkaException

from ops.monitoring.canary import DEADLINE_S, EVERY_S, STEPS, Canary
from ops.monitoring.endpoint import Endpoint
from ops.monitoring.targets import write_target
from ops.system import logs, stopping
from ops.system.context import load_settings
from ops.terminal.plain import echo, echo_json
from schemas.events import Lane
from streams.broker.words import in_words
from streams.liveness import Heart

logger = logging.getLogger("vigia.canary")

#: Publishing waits for the broker, the registry and the picture store, each with a patience of its own.
STALL_S = 60.0


@click.command("canary")
@click.option("--every", default=EVERY_S, show_default=True, help="Seconds between two cases.")
@click.option("--deadline", default=DEADLINE_S, show_default=True, help="Seconds after which a case is lost.")
@click.option("--port", default=9309, show_default=True, help="Port of /metrics; 0 takes a free one. It is printed.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of /metrics.")
@click.option("--metrics-target", type=click.Path(path_type=Path), help="Write a Prometheus file_sd target here.")
@click.option("--once", is_flag=True, help="Send one, say how far it came, exit 1 when it was lost.")
@click.option(
    "--lane",
    type=click.Choice([Lane.EMERGENCY.value, Lane.ROUTINE.value]),
    default=Lane.EMERGENCY.value,
    help="With --once.",
)
@click.option("--json", "as_json", is_flag=True, help="With --once: write JSON.")
def command(
    every: float,
    deadline: float,
    port: int,
    host: str,
    metrics_target: Path | None,
    once: bool,
    lane: str,
    as_json: bool,
) -> None:
    """Send a synthetic case through the pipeline again and again; measure its round trip, count the lost.

    It is marked: no person is asked about it, and no clinical figure counts it.
    """
    logs.configure()
    try:
        with Canary(load_settings(), every_s=every, deadline_s=deadline) as canary:
            if once:
                _fly_once(canary, Lane(lane), as_json)
                return
            stopped = threading.Event()
            heart = Heart(stall_s=STALL_S)
            with Endpoint(host, port, health=heart.check) as endpoint, stopping.calling(stopped.set):
                echo(f"http://{endpoint.address}/metrics")
                if metrics_target is not None:
                    write_target(metrics_target, endpoint.address, {"job": "vigia-canary"})
                canary.run(stopped.is_set, logger.warning, heart.beat)
            heart.stop()
    except KafkaException as error:
        raise click.ClickException(f"the broker did not answer: {in_words(error.args[0])}") from None


def _fly_once(canary: Canary, lane: Lane, as_json: bool) -> None:
    journey = canary.fly(lane, lambda text: echo(text, err=True))
    if journey is None:
        raise click.exceptions.Exit(1)
    if as_json:
        seen = {step: round(journey.seen[step], 4) if step in journey.seen else None for step in STEPS}
        echo_json({"case_id": journey.case_id, "lane": journey.lane, "arrived": journey.arrived, "seconds": seen})
    else:
        for step in STEPS:
            echo(f"{step:<12}{f'{journey.seen[step]:.3f} s' if step in journey.seen else 'not seen'}")
    if not journey.arrived:
        raise click.exceptions.Exit(1)
