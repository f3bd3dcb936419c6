"""`vigia lag-exporter`: serve lag and clinical waiting times to Prometheus, from the broker alone."""

from __future__ import annotations

import signal
import threading

import click
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.process_collector import ProcessCollector

from ops.lag.connect import broker_address
from ops.lag.expected import PIPELINE_GROUPS
from ops.lag.exporter import LagExporter
from ops.lag.monitor import LagMonitor
from ops.logs import configure


@click.command("lag-exporter")
@click.option("--port", default=9308, show_default=True, help="Port to serve on; 0 takes a free one. It is printed.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve on.")
@click.option("--topics", default=".*", show_default=True, help="Regular expression; only these topics.")
@click.option("--groups", default=".*", show_default=True, help="Regular expression; only these consumer groups.")
@click.option("--no-clinical", is_flag=True, help="Leave out the waiting times of cases and escalations.")
def command(port: int, host: str, topics: str, groups: str, no_clinical: bool) -> None:
    """Serve lag and clinical waiting times to Prometheus.

    Its own process, which reads the broker: it tells the truth when every worker is dead.
    """
    configure()
    bootstrap_servers = broker_address()
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    monitor = LagMonitor(bootstrap_servers, topics=topics, groups=groups, expected=PIPELINE_GROUPS)
    exporter = LagExporter(monitor)
    registry.register(exporter)
    server, _ = start_http_server(port, host, registry)
    exporter.start()
    click.echo(f"http://{host}:{server.server_port}/metrics")
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
    server.shutdown()
    exporter.stop()
