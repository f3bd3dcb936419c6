"""`vigia demo`: everything started, used, checked and stopped, in one command."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import click
from rich.console import Console

from ops.context import LOCK_FILE, AlreadyRunningError, default_run_dir
from ops.demo.run import Demo
from ops.embedded import EmbeddedError
from ops.health import HealthProbe
from ops.up import Options, System
from schemas.errors import ContractError
from streams.client import PUBLISH_ERRORS
from streams.settings import SettingsError
from streams.topic_admin import TopicsError

#: All seven classes on three skin tones.
CASES = 21
#: How long all stages may take to hold their partitions, on a machine that is busy with something else too.
SERVING_WITHIN_S = 120.0


@click.command()
@click.option("--cases", type=click.IntRange(1, 5000), default=CASES, show_default=True, help="Routine cases.")
@click.option("--seed", type=int, default=2026, show_default=True, help="Seed of the generated pictures.")
@click.option("--run-dir", type=click.Path(path_type=Path, file_okay=False), help="Folder for state, pictures, logs.")
@click.option("--brokers", type=click.Choice(["1", "3"]), default="1", show_default=True, help="Brokers.")
def command(cases: int, seed: int, run_dir: Path | None, brokers: str) -> None:
    """Start a real broker and all stages, publish wound pictures, and show and check what becomes of each.

    Exit code 0 only if every input has exactly its outcome and the audit chain holds.
    """
    console = Console()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    started = time.monotonic()
    try:
        folder = _fresh((run_dir or default_run_dir().with_name("demo")).absolute())
        _say(console, "Vigía Streams. Decision support, not a diagnosis; the model has seen generated pictures only.")
        with System(Options(run_dir=folder, brokers=int(brokers)), lambda line: _say(console, line)) as system:
            _wait_until_serving(system, console)
            wrong = Demo(system, console, cases=cases, seed=seed).run()
    except KeyboardInterrupt:
        _say(console, "interrupted; nothing is left running")
        raise SystemExit(130) from None
    except (AlreadyRunningError, EmbeddedError, TopicsError, ContractError, SettingsError, *PUBLISH_ERRORS) as error:
        raise click.ClickException(str(error)) from None
    for line in wrong:
        _say(console, f"does not add up: {line}")
    _say(console, f"\nstate, pictures and logs   {folder}")
    _say(console, "what to try next           vigia up, and in another shell: vigia publish --help, vigia watch")
    _say(console, f"{'FAILED' if wrong else 'done'} in {time.monotonic() - started:.0f} s; everything is stopped again")
    if wrong:
        raise click.exceptions.Exit(1)


def _fresh(folder: Path) -> Path:
    """An empty run folder: the state of an earlier demo is removed, but never that of anything else."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / LOCK_FILE).exists():
            raise click.ClickException(f"{folder} holds something that is not a demo's; choose another --run-dir")
        if _in_use(folder):
            raise click.ClickException(f"another demo works in {folder}; give this one a --run-dir of its own")
        shutil.rmtree(folder)
    return folder


def _in_use(folder: Path) -> bool:
    import fcntl

    with (folder / LOCK_FILE).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _wait_until_serving(system: System, console: Console) -> None:
    probe = HealthProbe(system.targets_dir)
    deadline = time.monotonic() + SERVING_WITHIN_S
    with console.status("starting the stages"):
        while not system.serving(probe.look(system.statuses())):
            if time.monotonic() > deadline:
                raise click.ClickException(f"the stages did not start in time; see {system.run_dir / 'logs'}")
            time.sleep(0.3)
    _say(console, "all stages serve; publishing")


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, soft_wrap=True, markup=False)
