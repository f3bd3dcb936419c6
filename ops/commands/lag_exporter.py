"""`vigia lag-exporter`: serve lag and clinical waiting times to Prometheus, from the broker alone."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click
from prometheus_client import CollectorRegistry
from prometheus_client.process_collector import ProcessCollector

from ops.lag.clinical.exporter import ClinicalExporter
from ops.lag.clinical.monitor import ClinicalMonitor
from ops.lag.exporter import LagExporter
from ops.lag.monitor import LagMonitor
from ops.lag.selection import MOST_GROUPS, MOST_PAIRS
from ops.monitoring.endpoint import Endpoint
from ops.monitoring.targets import write_target
from ops.system import logs, stopping
from ops.system.connect import broker_address
from ops.system.context import load_settings
from ops.system.programs import expected_groups
from ops.terminal.plain import echo
from streams.liveness import Heart


@click.command("lag-exporter")
@click.option("--port", default=9308, show_default=True, help="Port to serve on; 0 takes a free one. It is printed.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve on.")
@click.option("--topics", default=".*", show_default=True, help="Regular expression; only these topics.")
@click.option("--groups", default="vigia-.*", show_default=True, help="Regular expression; only these consumer groups.")
@click.option("--max-groups", default=MOST_GROUPS, show_default=True, help="Serve no more groups; the rest is counted.")
@click.option(
    "--clinical/--no-clinical", default=True, help="Waiting times of cases and escalations (reads the registry)."
)
@click.option(
    "--metrics-target",
    type=click.Path(path_type=Path),
    help="Write a Prometheus file_sd target here, so that a free port is found.",
)
def command(
    port: int, host: str, topics: str, groups: str, max_groups: int, clinical: bool, metrics_target: Path | None
) -> None:
    """Serve lag and clinical waiting times to Prometheus.

    Its own process, which reads the broker: it tells the truth when every worker is dead.
    """
    logs.configure()
    address = broker_address()
    monitor = LagMonitor(
        address,
        topics=topics,
        groups=groups,
        expected=expected_groups(),
        most_groups=max_groups,
        most_pairs=MOST_PAIRS,
    )
    registry_url = load_settings().schema_registry_url if clinical else None
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    with ExitStack() as stack:
        heart = Heart("lag", *(["clinical"] if registry_url is not None else []))
        stack.callback(heart.stop)
        lag = LagExporter(monitor, partial(heart.beat, "lag"))
        registry.register(lag)
        lag.start()
        stack.callback(lag.stop)
        if registry_url is not None:
            waiting = ClinicalExporter(
                ClinicalMonitor(address, registry_url), lambda: lag.view, partial(heart.beat, "clinical")
            )
            registry.register(waiting)
            waiting.start()
            stack.callback(waiting.stop)
        endpoint = stack.enter_context(Endpoint(host, port, registry=registry, health=heart.check))
        echo(f"http://{endpoint.address}/metrics")
        if metrics_target is not None:
            write_target(metrics_target, endpoint.address, {"job": "vigia-lag-exporter"})
        stopped = threading.Event()
        with stopping.calling(stopped.set):
            stopped.wait()
