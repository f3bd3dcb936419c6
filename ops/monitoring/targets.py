"""Prometheus `file_sd` targets: how a process on a free port is found."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path


def write_target(path: Path, address: str, labels: Mapping[str, str]) -> None:
    """Write a target file in one step: Prometheus reads it whenever it changes."""
    target = [{"targets": [address], "labels": {**labels, "node": socket.gethostname()}}]
    staging = path.with_suffix(".tmp")
    staging.write_text(json.dumps(target), encoding="utf-8")
    os.replace(staging, path)
