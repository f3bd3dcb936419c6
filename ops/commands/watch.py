"""`vigia watch`: the system at a terminal, or once as JSON for scripts."""

from __future__ import annotations

import threading
import time

import click
from rich.console import Console
from rich.live import Live

from ops.system import stopping
from ops.system.context import load_settings
from ops.terminal.console import plain_console
from ops.terminal.plain import echo_json
from ops.watch.live import LiveSystem
from ops.watch.screen import draw
from ops.watch.snapshot import as_json
from streams.liveness import where_supervised

EVERY_S = 1.0
#: `--once`: seconds to read what is there; and between the two looks from which rates are worked out.
ONCE_WITHIN_S = 20.0
ONCE_APART_S = 2.0


@click.command("watch")
@click.option("--once", is_flag=True, help="Show the present state once; exit code 1 when something is away.")
@click.option("--json", "as_json_", is_flag=True, help="With --once: write JSON.")
@click.option("--groups", default="vigia-.*", show_default=True, help="Regular expression; only these consumer groups.")
def command(once: bool, as_json_: bool, groups: str) -> None:
    """Who waits, where and how long; escalations with their countdown. Ctrl-C ends it.

    Reads the broker alone, so it tells the truth when every worker is dead.
    """
    if as_json_ and not once:
        raise click.UsageError("--json goes with --once")
    settings = load_settings()
    console = plain_console()
    if once:
        with LiveSystem(settings.bootstrap_servers, settings.schema_registry_url, groups) as system:
            _once(system, console, as_json_)
        return
    stopped = threading.Event()
    with stopping.calling(stopped.set):
        with LiveSystem(settings.bootstrap_servers, settings.schema_registry_url, groups) as system:
            _until(stopped, system, console)


def _until(stopped: threading.Event, system: LiveSystem, console: Console) -> None:
    with where_supervised() as alive, Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
        while not stopped.is_set():
            alive()
            until = time.monotonic() + EVERY_S
            live.update(draw(system.look()), refresh=True)
            system.wait(max(0.0, until - time.monotonic()))


def _once(system: LiveSystem, console: Console, as_json_: bool) -> None:
    system.settle(ONCE_WITHIN_S)
    system.wait(ONCE_APART_S)
    snapshot = system.look()
    if as_json_:
        echo_json(as_json(snapshot), indent=2)
    else:
        console.print(draw(snapshot))
    if snapshot.trouble:
        raise click.exceptions.Exit(1)
