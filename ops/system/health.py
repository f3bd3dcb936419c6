"""The health of a running system's workers: state, partitions held, memory, processor; from their metrics and the
kernel."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families

from ops.system.supervisor import ProcessState, ProcessStatus

#: Seconds for an answer. A worker on loopback answers in milliseconds; one whose interpreter is busy may take longer.
ANSWER_WITHIN_S = 2.0
ASSIGNED = "vigia_assigned_partitions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The health of one process at one moment."""

    status: ProcessStatus
    #: How many partitions it holds; None when it does not answer (yet).
    partitions: int | None = None
    rss_bytes: int | None = None
    #: Share of one processor since the look before.
    cpu_fraction: float | None = None


class HealthProbe:
    """Looks at processes repeatedly; CPU shares are those since the look before."""

    def __init__(self, targets_dir: Path) -> None:
        self._targets_dir = targets_dir
        self._seen: dict[int, psutil.Process] = {}

    def look(self, statuses: Sequence[ProcessStatus]) -> list[Health]:
        """The health of each process, in the order of `statuses`."""
        return [self._one(status) for status in statuses]

    def _one(self, status: ProcessStatus) -> Health:
        if status.state is not ProcessState.RUNNING or status.pid is None:
            return Health(status=status)
        try:
            process = self._seen.setdefault(status.pid, psutil.Process(status.pid))
            with process.oneshot():
                rss, cpu = process.memory_info().rss, process.cpu_percent() / 100
        except psutil.Error:
            return Health(status=status)
        partitions = assigned_partitions(self._targets_dir / f"{status.name}.json")
        return Health(status=status, partitions=partitions, rss_bytes=rss, cpu_fraction=cpu)


def assigned_partitions(target: Path) -> int | None:
    """How many partitions the worker that wrote this Prometheus target holds; None when it does not answer (yet)."""
    try:
        address = json.loads(target.read_text(encoding="utf-8"))[0]["targets"][0]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{address}/metrics", timeout=ANSWER_WITHIN_S) as response:
            text = response.read().decode()
    except (OSError, ValueError, LookupError):
        return None
    for family in text_string_to_metric_families(text):
        if family.name == ASSIGNED:
            return int(sum(sample.value for sample in family.samples))
    return None
