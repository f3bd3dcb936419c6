"""`vigia lag`: every group's lag, once, as a reading consumer would find it."""

from __future__ import annotations

import re

import click

from ops.lag.evaluator import LagState
from ops.lag.figures import LagFigures
from ops.lag.monitor import LagMonitor
from ops.lag.table import as_mapping, as_table
from ops.system.connect import broker_address
from ops.system.programs import expected_groups
from ops.terminal.console import plain_console
from ops.terminal.plain import echo_json

#: Rates and the state of a group need samples over time; `--watch-for` gives them.
DEFAULT_WATCH_S = 2.0


@click.command("lag")
@click.option("--topics", default=".*", show_default=True, help="Regular expression; only these topics.")
@click.option("--groups", default=".*", show_default=True, help="Regular expression; only these consumer groups.")
@click.option("--partitions", is_flag=True, help="One line per partition instead of one per topic.")
@click.option("--watch-for", default=DEFAULT_WATCH_S, show_default=True, help="Seconds over which rates are measured.")
@click.option(
    "--within", default=60.0, show_default=True, help="Seconds to count at most; lags marked ≤ are upper bounds."
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON, one entry per partition.")
def command(topics: str, groups: str, partitions: bool, watch_for: float, within: float, as_json: bool) -> None:
    """How far every group is behind: in records that it can read, and in seconds.

    Exit code 1 when a group is stalled or stopped (needs --watch-for 20 or more to be told).
    """
    address = broker_address()
    try:
        matching = re.compile(groups)
    except re.error as error:
        raise click.BadParameter(f"no regular expression: {error}", param_hint="--groups") from None
    expected = {group: topics for group, topics in expected_groups().items() if matching.fullmatch(group)}
    with LagMonitor(address, topics=topics, groups=groups, expected=expected) as monitor:
        figures = _measure(monitor, watch_for, within)
    if as_json:
        echo_json([as_mapping(lag) for lag in figures.lags], indent=2)
    else:
        _print(figures, partitions)
    if any(lag.state in (LagState.STALLED, LagState.STOPPED) for lag in figures.lags):
        raise click.exceptions.Exit(1)


def _measure(monitor: LagMonitor, watch_for: float, within: float) -> LagFigures:
    console = plain_console(stderr=True)
    with console.status("asking the broker") as status:
        figures = monitor.settle(within, lambda f: status.update(f"counting: {f.uncounted} offsets to go"))
        until = figures.view.at_s + watch_for
        while figures.view.at_s < until:
            monitor.scan(min(1.0, until - figures.view.at_s))
            figures = monitor.refresh()
    return figures


def _print(figures: LagFigures, partitions: bool) -> None:
    console = plain_console()
    if not figures.lags:
        console.print("No consumer group has anything to do with these topics.")
        return
    console.print(as_table(figures.lags, all_partitions=partitions))
