"""`vigia notify`: escalations to Slack, e-mail, webhooks and whatever else Apprise reaches."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path

import click

from ops.monitoring.endpoint import Endpoint
from ops.system import logs
from ops.system.context import load_settings
from schemas.serde import Serde
from streams import topics
from streams.images.records import RecordStore
from streams.runtime.app import StageApp
from streams.runtime.trial_child import serve_trials
from streams.runtime.worker import leave, serve
from streams.stages.build import build_stage, declaration

logger = logging.getLogger("vigia.notify")


@click.command("notify")
@click.option(
    "--targets",
    envvar="VIGIA_NOTIFY_FILE",
    required=True,
    type=click.Path(path_type=Path),
    help="YAML file with the Apprise URLs of each channel (also VIGIA_NOTIFY_FILE); see docs/escalations.md.",
)
@click.option("--metrics-port", default=0, show_default="a free one", help="Port of /metrics.")
@click.option("--trial", is_flag=True, hidden=True, help="Try single records for a notifier, on standard input.")
def command(targets: Path, metrics_port: int, trial: bool) -> None:
    """Deliver every escalation level to its channels until SIGTERM; without patient data."""
    logs.configure()
    settings = replace(load_settings(), notify_file=targets)
    serde = Serde(settings.schema_registry_url)
    stage = build_stage(declaration("notification"), settings, serde)
    if lost := serde.start(topics.RECORDS, stage.patience_s):
        logger.warning("%s", lost)
    if trial:
        leave(serve_trials(stage, serde, settings.bootstrap_servers))
    trying = (sys.executable, "-P", "-m", "ops", "notify", "--targets", str(targets), "--trial")
    app = StageApp(stage, serde, settings.bootstrap_servers, store=RecordStore.from_settings(settings), trial=trying)
    Endpoint("127.0.0.1", metrics_port, health=app.pulse.healthy, ready=app.pulse.ready)
    leave(serve(app))
