"""Takes snapshots of a running system, one after the other."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException

from ops.lag.broker_view import BrokerView
from ops.lag.client import BrokerAwayError
from ops.lag.clinical.figures import ClinicalFigures
from ops.lag.clinical.monitor import ClinicalMonitor
from ops.lag.monitor import LagMonitor
from ops.lag.selection import MOST_GROUPS, MOST_PAIRS
from ops.system.programs import expected_groups
from ops.watch.snapshot import History, Snapshot
from schemas.errors import RegistryUnavailableError


class LiveSystem:
    """The lag and the waiting cases of one system; the lag is known even while the registry is away."""

    def __init__(self, bootstrap_servers: str, registry_url: str, groups: str = "vigia-.*") -> None:
        # Topics of other systems on the same cluster would only cost time.
        self._lag = LagMonitor(
            bootstrap_servers,
            topics=r"vigia\..*",
            groups=groups,
            expected=expected_groups(),
            most_groups=MOST_GROUPS,
            most_pairs=MOST_PAIRS,
        )
        self._clinical = ClinicalMonitor(bootstrap_servers, registry_url)
        self._history = History()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lag.close()
        self._clinical.close()

    def look(self) -> Snapshot:
        """A snapshot of the system now; its `trouble` says which service is away."""
        try:
            figures = self._lag.refresh()
        except BrokerAwayError as error:
            return Snapshot(at=time.time(), trouble=str(error), brokers=0, stages=None, clinical=None)
        clinical, trouble = self._patients(figures.view)
        return Snapshot(
            at=figures.view.at,
            trouble=trouble,
            brokers=figures.view.brokers,
            stages=self._history.stages(figures),
            clinical=clinical,
        )

    def settle(self, within_s: float) -> Snapshot:
        """Take snapshots until one is complete or shows trouble, or `within_s` has passed; returns the last."""
        deadline = time.monotonic() + within_s
        while True:
            snapshot = self.look()
            complete = snapshot.clinical is not None and snapshot.clinical.complete
            if complete or snapshot.trouble or time.monotonic() >= deadline:
                return snapshot

    def wait(self, seconds: float) -> None:
        """Count what arrives, for `seconds`."""
        self._lag.scan(seconds)

    def _patients(self, view: BrokerView) -> tuple[ClinicalFigures | None, str]:
        try:
            return self._clinical.refresh(view), ""
        except RegistryUnavailableError:
            return None, "the schema registry does not answer: waiting cases are not known"
        except KafkaException:
            return None, "the broker stopped answering: waiting cases are not known"
