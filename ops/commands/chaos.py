"""`vigia chaos`: a seeded campaign of faults against a whole system of its own, and what the verifier says of it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ops.chaos.campaign import run
from ops.chaos.outcome import CampaignOutcome, CampaignPlan
from ops.embedded import KAFKA_VERSIONS
from ops.system import stopping
from ops.terminal.console import plain_console

#: Seconds between two lines of progress where there is no terminal.
LINE_EVERY_S = 10.0


@click.command()
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same cases and faults.")
@click.option("--faults", default=20, show_default=True, help="Number of faults.")
@click.option("--cases", default=2_000, show_default=True, help="Number of cases.")
@click.option("--rate", default=20.0, show_default=True, help="Cases per second.")
@click.option("--brokers", type=click.Choice(["1", "3"]), default="3", show_default=True, help="Brokers.")
@click.option("--kafka", type=click.Choice(KAFKA_VERSIONS), help="Another Kafka release than the one that is shipped.")
@click.option("--workers", type=click.IntRange(1, 3), default=2, show_default=True, help="Workers per stage at first.")
@click.option("--late-after", default=60.0, show_default=True, help="Seconds after which an escalation is late.")
@click.option("--duration", default=3_600.0, show_default=True, help="Seconds after which publishing ends anyway.")
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep logs and topics in this folder.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the report here.")
def command(
    seed: int,
    faults: int,
    cases: int,
    rate: float,
    brokers: str,
    kafka: str | None,
    workers: int,
    late_after: float,
    duration: float,
    keep: Path | None,
    json_file: Path | None,
) -> None:
    """Break a whole system again and again while cases flow, then check every record.

    Starts brokers, registry and workers of its own in a temporary folder; nothing else is touched, and nothing is
    left. Exit code 0: nothing was lost, doubled, wrong, out of order, invented, unaudited or late; 1: something was.
    """
    plan = CampaignPlan(
        seed=seed,
        faults=faults,
        cases=cases,
        rate=rate,
        brokers=int(brokers),
        kafka=kafka,
        workers=workers,
        late_after_s=late_after,
        duration_s=duration,
        keep=None if keep is None else keep.absolute(),
    )
    console = plain_console()
    try:
        with stopping.Interrupt().raising():
            outcome = _with_progress(plan, console)
    except KeyboardInterrupt:
        raise click.ClickException("interrupted; nothing is left running") from None
    if json_file is not None:
        json_file.write_text(json.dumps(outcome.as_json(), indent=1) + "\n", encoding="utf-8")
    _print(outcome, console)
    raise SystemExit(0 if outcome.clean else 1)


def _with_progress(plan: CampaignPlan, console: Console) -> CampaignOutcome:
    def tell(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)

    if console.is_terminal:
        with console.status("starting") as status:
            return run(plan, tell, status.update)
    last = [0.0]

    def show(line: str) -> None:
        if time.monotonic() - last[0] > LINE_EVERY_S:
            last[0] = time.monotonic()
            tell(line)

    return run(plan, tell, show)


def _print(outcome: CampaignOutcome, console: Console) -> None:
    report: dict[str, Any] = outcome.as_json()
    table = Table("verdict", "count", box=None, pad_edge=False)
    for name, count in report["verdict"]["counts"].items():
        table.add_row(name.replace("_", " "), str(count))
    table.add_row("audit verify", "clean" if outcome.audit["clean"] else str(outcome.audit["broken"]))
    console.print(table)
    times = Table("recovery after", "faults", "p50 s", "p99 s", "max s", box=None, pad_edge=False)
    for name, row in (*report["recovery_by_fault_s"].items(), ("all", report["recovery_s"])):
        times.add_row(name, str(row["count"]), f"{row['p50']:.1f}", f"{row['p99']:.1f}", f"{row['max']:.1f}")
    if stuck := report["stuck_s"]["count"]:
        row = report["stuck_s"]
        times.add_row("(behind a hostile record)", str(stuck), *(f"{row[n]:.1f}" for n in ("p50", "p99", "max")))
    console.print(times)
    counted = ", ".join(f"{count} {name}" for name, count in report["verdict"]["counted"].items())
    console.print(
        f"seed {outcome.plan.seed}: {outcome.cases} cases, {report['faults']} faults, {outcome.records} records read "
        f"in {outcome.seconds:.0f} s; {counted}",
        highlight=False,
    )
    for finding in outcome.verdict.findings[:20]:
        console.print(finding, highlight=False, soft_wrap=True, markup=False)
