"""The kinds of panels of the dashboards, and what they share: data source, colours, units, thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as model

from ops.lag.evaluator import LagState

#: The reader chooses one of Grafana's Prometheus data sources; a dashboard holds neither an address nor an id.
DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
TAG = "vigia"
GREEN, YELLOW, RED = "green", "#EAB839", "red"
STATE_COLOURS = {
    LagState.OK: GREEN,
    LagState.WARNING: YELLOW,
    LagState.STALLED: RED,
    LagState.STOPPED: "dark-red",
    LagState.REWOUND: "purple",
}

SECONDS, RECORDS, PER_SECOND, SHARE, BYTES = "s", "short", "ops", "percentunit", "bytes"

PanelT = TypeVar("PanelT", stat.Panel, timeseries.Panel, bargauge.Panel, statetimeline.Panel)


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression and the legend of its series."""

    expr: str
    legend: str = ""


def page(title: str, uid: str, description: str) -> dashboard.Dashboard:
    """An empty dashboard: times in UTC, a refresh every 5 s (as often as Prometheus scrapes), links to the others."""
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .timezone("utc")
        .refresh("5s")
        .time("now-30m", "now")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .link(
            dashboard.DashboardLink("Vigía Streams")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .keep_time(True)
        )
    )


def number(
    title: str,
    query: Query,
    unit: str,
    help: str,
    *,
    limits: tuple[float, float] | None = None,
    span: int = 4,
    height: int = 4,
    none: str = "no figures",
) -> stat.Panel:
    """One big number, green below the first limit, yellow up to the second, red from there; `none` without a value."""
    panel = (
        stat.Panel()
        .graph_mode(shapes.BigValueGraphMode.AREA)
        .color_mode(shapes.BigValueColorMode.BACKGROUND if limits else shapes.BigValueColorMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .no_value(none)
    )
    return _dress(panel, title, (query,), unit, help, span, height).thresholds(_limits(limits))


def lines(
    title: str,
    queries: Sequence[Query],
    unit: str,
    help: str,
    *,
    limits: tuple[float, float] | None = None,
    span: int = 12,
    height: int = 8,
    stacked: bool = False,
) -> timeseries.Panel:
    """Series over time, from zero."""
    panel = timeseries.Panel().min(0).fill_opacity(12).line_width(1).show_points(shapes.VisibilityMode.NEVER)
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL)).fill_opacity(40)
    if limits:
        panel = panel.thresholds(_limits(limits)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(shapes.GraphThresholdsStyleMode.DASHED)
        )
    return _dress(panel, title, queries, unit, help, span, height)


def bars(
    title: str,
    query: Query,
    unit: str,
    help: str,
    *,
    limits: tuple[float, float] | None = None,
    span: int = 12,
    height: int = 8,
) -> bargauge.Panel:
    """One bar per series: its newest value."""
    panel = (
        bargauge.Panel()
        .orientation(shapes.VizOrientation.HORIZONTAL)
        .display_mode(shapes.BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .min(0)
        .no_value("no figures")
    )
    return _dress(panel, title, (query,), unit, help, span, height).thresholds(_limits(limits))


def states(title: str, query: Query, help: str, *, span: int = 12, height: int = 8) -> statetimeline.Panel:
    """The lag evaluator's states over time, one row per series."""
    mapping = model.ValueMap(
        options={
            str(int(state)): model.ValueMappingResult(text=state.label, color=colour)
            for state, colour in STATE_COLOURS.items()
        }
    )
    panel = statetimeline.Panel().mappings([mapping]).show_value(shapes.VisibilityMode.AUTO).fill_opacity(80)
    return _dress(panel, title, (query,), "none", help, span, height)


def _dress(panel: PanelT, title: str, queries: Sequence[Query], unit: str, help: str, span: int, height: int) -> PanelT:
    panel = panel.title(title).description(help).datasource(DATASOURCE).unit(unit).span(span).height(height)
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        target = prometheus.Dataquery().expr(query.expr).ref_id(letter).datasource(DATASOURCE)
        panel = panel.with_target(target.legend_format(query.legend) if query.legend else target)
    return panel


def _limits(limits: tuple[float, float] | None) -> dashboard.ThresholdsConfig:
    steps = [model.Threshold(value=None, color=GREEN)]
    if limits:
        steps += [model.Threshold(value=limits[0], color=YELLOW), model.Threshold(value=limits[1], color=RED)]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)
