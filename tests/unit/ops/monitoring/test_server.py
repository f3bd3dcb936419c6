"""The configuration for one machine is the committed one with other addresses."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from ops.monitoring.rules import HERE
from ops.monitoring.server import local_configuration
from ops.monitoring.targets import write_target


def test_only_addresses_and_paths_differ_from_the_committed_configuration(tmp_path: Path) -> None:
    committed = yaml.safe_load((HERE / "prometheus.yml").read_text(encoding="utf-8"))
    local = yaml.safe_load(local_configuration(tmp_path, 19_090))
    assert local["global"] == committed["global"]
    assert [job["job_name"] for job in local["scrape_configs"]] == [
        job["job_name"] for job in committed["scrape_configs"]
    ]
    assert local["scrape_configs"][0]["file_sd_configs"][0]["files"] == [f"{tmp_path}/*.json"]
    assert all(Path(file).is_file() for file in local["rule_files"])
    assert local["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == []


@pytest.mark.needs("promtool")
def test_prometheus_accepts_it_together_with_the_targets_we_write(tmp_path: Path) -> None:
    write_target(tmp_path / "lag.json", "127.0.0.1:9308", {"job": "vigia-lag-exporter"})
    config = tmp_path / "prometheus.yml"
    config.write_text(local_configuration(tmp_path, 19_090), encoding="utf-8")
    done = subprocess.run(["promtool", "check", "config", str(config)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
