"""How the workers of a running system are: alive, holding partitions, how big. Asked of them and of the kernel."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families

from ops.system.supervisor import ProcessState, ProcessStatus

#: A worker on loopback answers in milliseconds; one whose interpreter is busy in a model may take longer.
ANSWER_WITHIN_S = 2.0
ASSIGNED = "vigia_assigned_partitions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One process at this moment."""

    status: ProcessStatus
    #: Partition numbers in its hands; None: it does not say (yet).
    partitions: int | None = None
    rss_bytes: int | None = None
    #: Of one processor, since the look before.
    cpu_fraction: float | None = None


class HealthProbe:
    """Looks at processes again and again."""

    def __init__(self, targets_dir: Path) -> None:
        self._targets_dir = targets_dir
        self._seen: dict[int, psutil.Process] = {}

    def look(self, statuses: Sequence[ProcessStatus]) -> list[Health]:
        """Health of each process, in the order given."""
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
    """Partitions held by the worker that wrote this Prometheus target; None when it does not answer (yet)."""
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
