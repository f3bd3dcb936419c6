"""Prometheus on this machine, where it is installed: the committed configuration, on free ports of loopback."""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
from pathlib import Path

from ops.embedded.ports import LOOPBACK, free_ports
from ops.embedded.process import ChildProcess
from ops.embedded.ready import wait_until_ready
from ops.monitoring.rules import HERE
from schemas.errors import OneLineError

#: Days of figures kept; a machine that is used by hand has no need for more.
RETENTION = "3d"


class PrometheusMissingError(OneLineError):
    """No `prometheus` on this machine."""


class PrometheusServer:
    """Scrapes whatever writes a target file into `targets_dir`; evaluates the recording rules and alerts."""

    def __init__(self, run_dir: Path, targets_dir: Path) -> None:
        """Raises PrometheusMissingError, which says how to get it."""
        program = shutil.which("prometheus")
        if program is None:
            raise PrometheusMissingError(
                "prometheus is not installed: apt-get install prometheus, or use compose.kafka.yml"
            )
        self.port = free_ports(1)[0]
        run_dir.mkdir(parents=True, exist_ok=True)
        config = run_dir / "prometheus.yml"
        config.write_text(local_configuration(targets_dir, self.port), encoding="utf-8")
        self.process = ChildProcess(
            "Prometheus",
            [
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={run_dir / 'data'}",
                f"--storage.tsdb.retention.time={RETENTION}",
                f"--web.listen-address={LOOPBACK}:{self.port}",
            ],
            log=run_dir / "prometheus.log",
        )

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Start, and return when it is ready. Raises StartError."""
        self.process.start()
        wait_until_ready(self.process, self._is_ready)

    def stop(self) -> None:
        """End it."""
        self.process.stop()

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1) as answer:  # noqa: S310  # our own loopback
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def local_configuration(targets_dir: Path, port: int) -> str:
    """The committed configuration with this machine's paths, and no Alertmanager: alerts are on its page."""
    text = (HERE / "prometheus.yml").read_text(encoding="utf-8")
    for theirs, ours in (
        ('["targets/*.json"]', f'["{targets_dir}/*.json"]'),
        ("localhost:9090", f"{LOOPBACK}:{port}"),
        ('["alertmanager:9093"]', "[]"),
        ("- recording.yml", f"- {HERE / 'recording.yml'}"),
        ("- alerts.yml", f"- {HERE / 'alerts.yml'}"),
    ):
        if theirs not in text:
            raise ValueError(f"prometheus.yml no longer holds {theirs}")
        text = text.replace(theirs, ours)
    return text
