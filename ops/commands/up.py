"""`vigia up`: the whole system on this machine, with its health, until ctrl-C."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ops.monitoring.server import PrometheusServer
from ops.system import stopping
from ops.system.context import RUN_FILE, default_run_dir
from ops.system.health import Health, HealthProbe
from ops.system.programs import CANARY, PROGRAMS, optional_workers
from ops.system.supervisor import ProcessState
from ops.system.system import Options, System
from ops.terminal.console import plain_console
from schemas.registry import shown

#: Seconds between looks at the workers' health: what a look costs them is one rendering of their metrics.
LOOK_S = 2.0


@click.command()
@click.option(
    "--brokers", type=click.Choice(["1", "3"]), default="1", show_default=True, help="Brokers of the cluster."
)
@click.option("--workers", type=click.IntRange(1, 16), default=1, show_default=True, help="Workers of each stage.")
@click.option("--run-dir", type=click.Path(path_type=Path, file_okay=False), help="Folder for state and logs.")
@click.option(
    "--with-prometheus", is_flag=True, help="Also Prometheus, where it is installed, and the canary it times."
)
def up(brokers: str, workers: int, run_dir: Path | None, with_prometheus: bool) -> None:
    """Start broker, registry and all stages, and keep them running until ctrl-C.

    Other vigia commands of this user find the running system by themselves. Services of your own are used
    instead of embedded ones when VIGIA_BOOTSTRAP_SERVERS or VIGIA_SCHEMA_REGISTRY_URL are set.
    """
    console = plain_console()
    stop = threading.Event()
    try:
        options = Options(
            run_dir=(run_dir or default_run_dir()).absolute(),
            brokers=int(brokers),
            workers=workers,
            programs=(*PROGRAMS, *optional_workers(), *((CANARY,) if with_prometheus else ())),
        )
        system = System(options, lambda line: _tell(console, line))
        interrupt = stopping.Interrupt(again=system.kill)
        try:
            with interrupt.raising(), system, _prometheus(system, console) if with_prometheus else nullcontext():
                for number in stopping.stopping_signals():
                    signal.signal(number, lambda _number, _frame: stop.set())
                if interrupt.number is None:
                    _show_until(stop, system, console)
                _tell(console, "stopping: workers finish what they hold; once more ctrl-C kills them")
                for number in stopping.stopping_signals():
                    signal.signal(number, lambda _number, _frame: system.kill())
        except KeyboardInterrupt:
            system.close()
            _tell(console, "interrupted while starting; nothing is left running")
            if interrupt.number == signal.SIGINT:
                raise SystemExit(stopping.INTERRUPTED) from None
            return
    except OSError as error:
        raise click.ClickException(f"{error.filename or 'the run folder'}: {error.strerror}") from None
    _tell(console, "stopped")


@contextmanager
def _prometheus(system: System, console: Console) -> Iterator[None]:
    server = PrometheusServer(system.run_dir, system.targets_dir)
    server.start()
    _tell(console, f"prometheus       {server.url}")
    try:
        yield
    finally:
        server.stop()


def _tell(console: Console, line: str) -> None:
    # Paths and addresses are copied from here: no line breaks within them, no colours, no markup read into them.
    console.print(line, highlight=False, soft_wrap=True, markup=False)


def _show_until(stop: threading.Event, system: System, console: Console) -> None:
    probe = HealthProbe(system.targets_dir)
    _tell_where(system, console)
    if not console.is_terminal:
        _tell_once_serving(stop, system, probe, console)
        stop.wait()
        return
    with Live(console=console, auto_refresh=False) as live:
        while not stop.is_set():
            live.update(_table(probe.look(system.statuses()), system.program_of), refresh=True)
            stop.wait(LOOK_S)


def _tell_where(system: System, console: Console) -> None:
    told = system.environment
    _tell(console, f"broker           {told['VIGIA_BOOTSTRAP_SERVERS']}")
    _tell(console, f"schema registry  {shown(told['VIGIA_SCHEMA_REGISTRY_URL'])}")
    for name, address in system.metrics.items():
        _tell(console, f"{name:<17}{address}")
    _tell(console, f"state and logs   {system.run_dir}")
    _tell(console, f"for programs     {system.run_dir / RUN_FILE}")


def _tell_once_serving(stop: threading.Event, system: System, probe: HealthProbe, console: Console) -> None:
    started = time.monotonic()
    while not stop.wait(0.5):
        if system.serving(probe.look(system.statuses())):
            _tell(console, f"all stages serve after {time.monotonic() - started:.0f} s")
            return


def _table(healths: Sequence[Health], workers: Collection[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("process", "state", "for", "restarts", "partitions", "memory", "cpu"):
        table.add_column(heading, justify="left" if heading in ("process", "state") else "right")
    for health in healths:
        status = health.status
        table.add_row(
            status.name,
            _state(health, is_worker=status.name in workers),
            f"{status.for_s:.0f} s",
            str(status.restarts),
            "" if health.partitions is None else str(health.partitions),
            "" if health.rss_bytes is None else f"{health.rss_bytes / 2**20:.0f} MiB",
            "" if health.cpu_fraction is None else f"{health.cpu_fraction:.0%}",
        )
    return table


def _state(health: Health, *, is_worker: bool) -> Text:
    if health.status.state is not ProcessState.RUNNING:
        return Text(health.status.state.value, "red")
    if is_worker and not health.partitions:
        return Text("starting", "yellow")
    return Text("running", "green")
