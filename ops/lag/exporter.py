"""The loop that refreshes the lag figures every second, and the collector that serves the newest ones.

One thread computes the figures and replaces them as a whole; a scrape never waits for the broker and never sees half a
refresh. Figures that are too old are not served: an operator who sees a figure can rely on its age.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ops.lag import lag_metrics
from ops.lag.broker_view import BrokerView
from ops.lag.client import BrokerAwayError
from ops.lag.figures import LagFigures
from ops.lag.lag_metrics import DRAWN
from ops.lag.metric_family import Family, MetricSample
from ops.lag.monitor import LagMonitor

logger = logging.getLogger(__name__)

#: Seconds between the starts of two refreshes.
EVERY_S = 1.0
#: Figures older than this vanish. Longer than a slow refresh and one failed request (3 s), shorter than two scrapes
#: apart.
STALE_AFTER_S = 8.0


@dataclass(frozen=True, slots=True)
class _Counts:
    refreshes: int = 0
    failures: int = 0


class LagExporter(Collector):
    """Register it with a prometheus-client registry, and `start` it."""

    def __init__(self, monitor: LagMonitor, alive: Callable[[], None] = lambda: None) -> None:
        """`alive` is called whenever the refreshing thread moves."""
        self._monitor = monitor
        self._alive = alive
        self._figures: LagFigures | None = None
        self._counts = _Counts()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lag-refresh", daemon=True)

    def start(self) -> None:
        """Refresh in the background until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """End the loop and close the connections."""
        self._stop.set()
        self._thread.join(timeout=30)
        self._monitor.close()

    @property
    def figures(self) -> LagFigures | None:
        """The newest figures; None when the broker is away or they are older than `STALE_AFTER_S`."""
        figures = self._figures
        if figures is None or time.monotonic() - figures.view.at_s > STALE_AFTER_S:
            return None
        return figures

    @property
    def view(self) -> BrokerView | None:
        """The view of the broker that the newest figures were computed from."""
        figures = self.figures
        return None if figures is None else figures.view

    def collect(self) -> Iterator[Metric]:
        """The families of `ops.lag.lag_metrics`."""
        figures = self.figures
        if figures is not None:
            for drawn in DRAWN:
                yield metric(drawn.family, drawn.samples(figures))
            yield metric(lag_metrics.AGE, [((), time.monotonic() - figures.view.at_s)])
            yield metric(lag_metrics.REFRESH, [((), figures.took_s)])
            yield metric(lag_metrics.UNCOUNTED, [((), figures.uncounted)])
            yield metric(lag_metrics.GROUPS_LEFT_OUT, [((), figures.view.groups_left_out)])
            yield metric(lag_metrics.PAIRS_LEFT_OUT, [((), figures.left_out)])
        yield metric(lag_metrics.UP, [((), float(figures is not None))])
        yield metric(lag_metrics.REFRESHES, [((), self._counts.refreshes)])
        yield metric(lag_metrics.FAILURES, [((), self._counts.failures)])

    def describe(self) -> Iterator[Metric]:
        """Names without values, so that registering does not need a broker."""
        for family in lag_metrics.FAMILIES:
            yield metric(family, [])

    def _run(self) -> None:
        while not self._stop.is_set():
            self._alive()
            until = time.monotonic() + EVERY_S
            self._refresh()
            if self._figures is None:
                self._stop.wait(max(0.0, until - time.monotonic()))
            while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
                self._monitor.scan(min(left, 0.1))

    def _refresh(self) -> None:
        try:
            figures = self._monitor.refresh()
        except BrokerAwayError as error:
            if self._figures is not None or not self._counts.failures:
                logger.warning("no figures: %s", error)
            self._figures = None
            self._counts = _Counts(self._counts.refreshes, self._counts.failures + 1)
        else:
            self._figures = figures
            self._counts = _Counts(self._counts.refreshes + 1, self._counts.failures)


def metric(family: Family, samples: Iterable[MetricSample]) -> Metric:
    """A prometheus-client family with these samples."""
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    made: CounterMetricFamily | GaugeMetricFamily = kind(family.name, family.help, labels=family.labels)
    for labels, value in samples:
        made.add_metric(labels, value)
    return made
