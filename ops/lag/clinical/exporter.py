"""Serves the clinical figures beside the lag, from a thread of its own that uses the lag exporter's newest view."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from confluent_kafka import KafkaException
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ops.lag.broker_view import BrokerView
from ops.lag.clinical.figures import LANES, PRIORITIES, STEPS, ClinicalFigures
from ops.lag.clinical.monitor import ClinicalMonitor
from ops.lag.exporter import EVERY_S, STALE_AFTER_S, metric
from ops.lag.metric_family import Family, MetricSample
from schemas.errors import RegistryUnavailableError
from schemas.events import EscalationType

logger = logging.getLogger(__name__)

_WAIT = ("step", "lane")
_WAIT_EXAMPLE = (STEPS[0], LANES[0])
_PRIORITY = ("priority",)
_PRIORITY_EXAMPLE = (PRIORITIES[0],)


def _by_priority(
    read: Callable[[ClinicalFigures, str], float | None],
) -> Callable[[ClinicalFigures], Iterable[MetricSample]]:
    def samples(figures: ClinicalFigures) -> Iterator[MetricSample]:
        for priority in PRIORITIES:
            value = read(figures, priority)
            if value is not None:
                yield (priority,), value

    return samples


def _oldest_s(figures: ClinicalFigures, priority: str) -> float:
    return max((figures.at - one.raised_ms / 1_000 for one in figures.of(priority)), default=0.0)


def _to_deadline_s(figures: ClinicalFigures, priority: str) -> float | None:
    return min((one.respond_by_ms / 1_000 - figures.at for one in figures.of(priority)), default=None)


def _overdue(figures: ClinicalFigures, priority: str) -> int:
    return sum(one.respond_by_ms / 1_000 < figures.at for one in figures.of(priority))


def _missed(figures: ClinicalFigures) -> Iterator[MetricSample]:
    known = Counter({kind.value: 0 for kind in EscalationType if kind is not EscalationType.UNKNOWN})
    known.update(figures.missed)
    for kind, count in known.items():
        yield (kind,), count


def _family(name: str, help: str, labels: tuple[str, ...], example: tuple[str, ...], value: float) -> Family:
    return Family(name=name, help=help, labels=labels, example=example, value=value)


CLINICAL: tuple[tuple[Family, Callable[[ClinicalFigures], Iterable[MetricSample]]], ...] = (
    (
        _family("vigia_clinical_waiting_cases", "Cases that the step has not worked off.", _WAIT, _WAIT_EXAMPLE, 2),
        lambda figures: [((one.step, one.lane), one.cases) for one in figures.waiting],
    ),
    (
        _family(
            "vigia_clinical_oldest_waiting_seconds",
            "Since the oldest case before the step was published. 0 when none waits.",
            _WAIT,
            _WAIT_EXAMPLE,
            1.4,
        ),
        lambda figures: [((one.step, one.lane), one.oldest_s) for one in figures.waiting],
    ),
    (
        _family(
            "vigia_clinical_open_escalations", "Escalations that nobody has answered.", _PRIORITY, _PRIORITY_EXAMPLE, 1
        ),
        _by_priority(lambda figures, priority: len(figures.of(priority))),
    ),
    (
        _family(
            "vigia_clinical_oldest_unanswered_seconds",
            "Since the oldest unanswered escalation was raised. 0 when there is none.",
            _PRIORITY,
            _PRIORITY_EXAMPLE,
            42,
        ),
        _by_priority(_oldest_s),
    ),
    (
        _family(
            "vigia_clinical_seconds_to_deadline",
            "Until the next deadline of an unanswered escalation; below 0 it has passed. Absent when there is none.",
            _PRIORITY,
            _PRIORITY_EXAMPLE,
            258,
        ),
        _by_priority(_to_deadline_s),
    ),
    (
        _family(
            "vigia_clinical_overdue_escalations",
            "Unanswered escalations whose deadline has passed.",
            _PRIORITY,
            _PRIORITY_EXAMPLE,
            0,
        ),
        _by_priority(_overdue),
    ),
    (
        Family(
            name="vigia_clinical_missed_deadlines_total",
            help="Deadlines that passed without an answer, by the audit; at the start those of the last seven days.",
            labels=("type",),
            example=("emergency",),
            value=0,
            kind="counter",
        ),
        _missed,
    ),
)
CLINICAL_UP = Family(
    name="vigia_clinical_up",
    help="1 when broker and registry answer and everything up to now was read; the other clinical figures vanish at 0.",
    value=1,
)
CLINICAL_FAMILIES: tuple[Family, ...] = (*(family for family, _ in CLINICAL), CLINICAL_UP)


class ClinicalExporter(Collector):
    """Register it with a prometheus-client registry, and `start` it."""

    def __init__(
        self,
        monitor: ClinicalMonitor,
        newest_view: Callable[[], BrokerView | None],
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        """`alive` is called whenever the refreshing thread moves."""
        self._alive = alive
        self._monitor = monitor
        self._newest_view = newest_view
        self._figures: ClinicalFigures | None = None
        self._complete_at_s = -STALE_AFTER_S
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clinical-refresh", daemon=True)

    def start(self) -> None:
        """Refresh in the background until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """End the loop and close the connections to broker and registry."""
        self._stop.set()
        self._thread.join(timeout=30)
        self._monitor.close()

    @property
    def figures(self) -> ClinicalFigures | None:
        """The newest figures; None when a service is away, or when the last complete read is older than
        `STALE_AFTER_S`."""
        return self._figures if time.monotonic() - self._complete_at_s <= STALE_AFTER_S else None

    def collect(self) -> Iterator[Metric]:
        """The families of `CLINICAL_FAMILIES`."""
        figures = self.figures
        if figures is not None:
            for family, samples in CLINICAL:
                yield metric(family, samples(figures))
        yield metric(CLINICAL_UP, [((), float(figures is not None))])

    def describe(self) -> Iterator[Metric]:
        """Names without values, so that registering needs no service."""
        for family in CLINICAL_FAMILIES:
            yield metric(family, [])

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self._alive()
            view = self._newest_view()
            if view is None:
                self._figures = None
                continue
            try:
                self._figures = self._monitor.refresh(view)
                if self._figures.complete:
                    self._complete_at_s = view.at_s
            except (RegistryUnavailableError, KafkaException) as error:
                if self._figures is not None:
                    logger.warning("no clinical figures: %s", type(error).__name__)
                self._figures = None
