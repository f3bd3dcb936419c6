"""`vigia worker`: one stage as a process."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click

from ops.monitoring.endpoint import Endpoint
from ops.monitoring.targets import write_target
from ops.system import logs
from ops.system.context import load_settings
from schemas.events import Lane
from schemas.serde import Serde
from streams import topics
from streams.images.records import RecordStore
from streams.pipeline import PACKAGES, StageDeclaration
from streams.runtime.app import StageApp
from streams.runtime.trial_child import serve_trials
from streams.runtime.worker import leave, serve
from streams.stages.build import build_stage, declaration

logger = logging.getLogger("vigia.worker")


@click.command()
@click.argument("stage", type=click.Choice(PACKAGES))
@click.option(
    "--lane", type=click.Choice([Lane.EMERGENCY.value, Lane.ROUTINE.value]), help="Lane of the inference stage."
)
@click.option("--metrics-port", default=0, show_default="a free one", help="Port of /metrics.")
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="Address of /metrics.")
@click.option(
    "--metrics-target",
    type=click.Path(path_type=Path),
    help="Write a Prometheus file_sd target here, so that a free port is found.",
)
@click.option("--trial", is_flag=True, hidden=True, help="Try single records for a worker, on standard input.")
def worker(
    stage: str, lane: str | None, metrics_port: int, metrics_host: str, metrics_target: Path | None, trial: bool
) -> None:
    """Run one worker of STAGE until SIGTERM.

    Start as many as there are partitions; each takes its share, and the share of one that dies.
    """
    try:
        declared = declaration(stage, None if lane is None else Lane(lane))
    except ValueError:
        raise click.UsageError("--lane goes with the inference stage, and only with it") from None
    logs.configure()
    settings = load_settings()
    serde = Serde(settings.schema_registry_url)
    built = build_stage(declared, settings, serde)
    if lost := serde.start(topics.RECORDS, built.patience_s):
        logger.warning("%s", lost)
    if trial:
        leave(serve_trials(built, serde, settings.bootstrap_servers))
    store = RecordStore.from_settings(settings)
    app = StageApp(built, serde, settings.bootstrap_servers, store=store, trial=trial_command(declared))
    endpoint = Endpoint(metrics_host, metrics_port, health=app.pulse.healthy, ready=app.pulse.ready)
    logger.info("%s: metrics on http://%s/metrics", built.name, endpoint.address)
    if metrics_target is not None:
        write_target(metrics_target, endpoint.address, {"job": "vigia-worker", "stage_name": built.name})
    leave(serve(app))


def trial_command(declared: StageDeclaration) -> tuple[str, ...]:
    """The command line of a process that tries records for a worker of this stage."""
    return (sys.executable, "-P", "-m", "ops", *declared.arguments, "--trial")
