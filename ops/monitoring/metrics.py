"""Every metric of the system, from where it is declared: for the documentation, and for what asks for one by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from ops.lag.clinical.exporter import CLINICAL_FAMILIES
from ops.lag.lag_metrics import FAMILIES
from ops.lag.metric_family import Family
from ops.monitoring import canary
from ops.monitoring.rules import rules
from ops.views.audit import textfile
from streams import metrics as worker_metrics
from streams.audit.report import Report

#: An example for each label. One that is missing here fails the generation: a new label must be looked at (is it
#: bounded?).
LABELS: Final[Mapping[str, str]] = {
    "stage": "grading",
    "topic": "vigia.inferences",
    "lane": "emergency",
    "phase": "model",
    "step": "grading",
    "dependency": "image_store",
    "part": "ticker",
    "reason": "hash_mismatch",
    "severity": "urgent",
    "class": "stage_2",
    "type": "emergency",
    "level": "0",
    "action": "acknowledge",
    "outcome": "acknowledged",
    "priority": "emergency",
    "version": "lpp-1-0123456789",
    "role": "active",
    "agreement": "agree",
    "model_version": "lpp-1-0123456789",
    "relation": "agreement",
}
#: Of Prometheus itself and of every process that prometheus-client serves.
FOREIGN: Final = frozenset(
    {
        "up",
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_start_time_seconds",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Documented:
    """A metric as the documentation shows it."""

    name: str
    kind: str
    help: str
    example: str


def lag_metrics() -> Iterator[Documented]:
    """Of `vigia lag-exporter`: lag."""
    return (_of_family(family) for family in FAMILIES)


def clinical_metrics() -> Iterator[Documented]:
    """Of `vigia lag-exporter`: patients."""
    return (_of_family(family) for family in CLINICAL_FAMILIES)


def stage_metrics() -> Iterator[Documented]:
    """Of `vigia worker`."""
    return (_of_object(metric) for metric in vars(worker_metrics).values() if isinstance(metric, MetricWrapperBase))


def canary_metrics() -> Iterator[Documented]:
    """Of `vigia canary`."""
    return (_of_object(metric) for metric in canary.METRICS)


def audit_metrics() -> Iterator[Documented]:
    """Of `vigia audit verify --metrics`."""
    for family in text_string_to_metric_families(textfile(Report(), seconds=14.2)):
        sample = family.samples[0]
        # Of a time of day, one that does not change with each generation.
        value = "1764000000" if family.name.endswith("timestamp_seconds") else f"{sample.value:g}"
        example = line(family.name, sample.labels, value)
        yield Documented(name=family.name, kind=family.type, help=family.documentation, example=example)


def known_names() -> frozenset[str]:
    """Names that an expression may ask for: all of the above with their suffixes, and the recording rules."""
    names = set(FOREIGN) | {rule.name for rule in rules() if not rule.alert}
    for section in (lag_metrics, clinical_metrics, stage_metrics, canary_metrics, audit_metrics):
        for metric in section():
            if metric.kind == "histogram":
                names |= {f"{metric.name}_{suffix}" for suffix in ("bucket", "sum", "count")}
            else:
                names.add(metric.name)
    return frozenset(names)


def _of_family(family: Family) -> Documented:
    example = line(family.name, dict(zip(family.labels, family.example, strict=True)), f"{family.value:g}")
    return Documented(name=family.name, kind=family.kind, help=family.help, example=example)


def _of_object(metric: MetricWrapperBase) -> Documented:
    # prometheus-client keeps a metric's label names and buckets to itself.
    labels = {name: LABELS[name] for name in metric._labelnames}
    name, kind = metric._name, str(metric._type)
    if kind == "counter":
        name += "_total"
    if kind == "histogram":
        bounds = metric._kwargs["buckets"]
        example = line(f"{name}_bucket", {**labels, "le": f"{bounds[len(bounds) // 2]:g}"}, "118")
    else:
        example = line(name, labels, "1" if kind == "gauge" else "42")
    return Documented(name=name, kind=kind, help=metric._documentation, example=example)


def line(name: str, labels: Mapping[str, str], value: str) -> str:
    """A sample as the text format writes it."""
    inside = ",".join(f'{label}="{text}"' for label, text in labels.items())
    return f"{name}{{{inside}}} {value}" if inside else f"{name} {value}"
