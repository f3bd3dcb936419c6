"""`vigia demo`: everything started, used, checked and stopped, in one command."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import click
from rich.console import Console

from ops.demo.folder import own_folder
from ops.demo.run import Demo
from ops.demo.scenario import drawing
from ops.system import stopping
from ops.system.context import default_run_dir
from ops.system.health import HealthProbe
from ops.system.system import Options, System
from ops.terminal.console import plain_console

#: All seven classes on three skin tones.
CASES = 21
DISCLAIMER = (
    "Vigía Streams. Apoyo a la decisión clínica, no un diagnóstico; modelo entrenado con imágenes generadas.",
    "Decision support, not a diagnosis; the model was trained on generated pictures only.",
)
#: How long all stages may take to hold their partitions, on a machine that is busy with something else too.
SERVING_WITHIN_S = 120.0
#: What the demo takes over from the environment. Never a broker or an image store: on a hospital's own, its invented
#: patients would call real people.
KEPT = frozenset({"VIGIA_CACHE_DIR", "VIGIA_MODEL_DIR", "VIGIA_POLICY_FILE", "VIGIA_HEAT_MAPS"})


@click.command()
@click.option("--cases", type=click.IntRange(1, 1000), default=CASES, show_default=True, help="Routine cases.")
@click.option("--seed", type=int, default=2026, show_default=True, help="Seed of the generated pictures.")
@click.option("--run-dir", type=click.Path(path_type=Path, file_okay=False), help="Folder for state, pictures, logs.")
@click.option("--brokers", type=click.Choice(["1", "3"]), default="1", show_default=True, help="Brokers.")
@click.option("--keep", is_flag=True, help="Keep everything running after the summary, until ctrl-C.")
def command(cases: int, seed: int, run_dir: Path | None, brokers: str, keep: bool) -> None:
    """Start a real broker and all stages, publish wound pictures, and show and check what becomes of each.

    It runs on services and in a folder of its own, which the next demo empties.
    Exit code 0 only if every input has exactly its outcome and the audit chain holds.
    """
    console = plain_console()
    started = time.monotonic()
    try:
        env = own_environment()
        usual = default_run_dir(env).with_name("demo")
        with (
            stopping.Interrupt().raising(),
            own_folder(None if run_dir is None else run_dir.absolute(), usual) as folder,
        ):
            for line in DISCLAIMER:
                _say(console, line)
            if os.environ.get("VIGIA_BOOTSTRAP_SERVERS"):
                _say(console, "VIGIA_BOOTSTRAP_SERVERS is set, and not used: the demo has a broker of its own")
            system = System(Options(run_dir=folder, brokers=int(brokers)), lambda line: _say(console, line), env)
            with drawing(cases, seed, datetime.now(UTC)) as drawn, system:
                _wait_until_serving(system, console)
                with console.status("drawing pictures"):
                    planned = drawn()
                demo = Demo(system, console, planned)
                wrong = demo.run()
                for line in wrong:
                    _say(console, f"does not add up: {line}")
                _tell_where(console, folder, demo.answered)
                _say(console, f"{'FAILED' if wrong else 'done'} in {time.monotonic() - started:.0f} s")
                if keep:
                    _keep_running(console)
    except KeyboardInterrupt:
        _say(console, "interrupted; nothing is left running")
        raise SystemExit(stopping.INTERRUPTED) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or 'the run folder'}: {error.strerror}") from None
    _say(console, "everything is stopped again")
    if wrong:
        raise click.exceptions.Exit(1)


def own_environment(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment without what would lead the demo to other services than its own."""
    return {name: value for name, value in env.items() if not name.startswith("VIGIA_") or name in KEPT}


def _tell_where(console: Console, folder: Path, case_id: UUID | None) -> None:
    _say(console, "")
    _say(console, f"state, pictures, logs   {folder} (until the next demo)")
    _say(console, "topics                  vigia.cases.* → vigia.inferences → vigia.gradings → vigia.escalations.*;")
    _say(console, "                        vigia.acknowledgements, vigia.audit, vigia.dead-letters")
    _say(console, f"look at it again        vigia up --run-dir {folder}")
    _say(console, "then, in another shell  vigia watch, vigia reviews, vigia publish --help,")
    _say(console, f"                        vigia case show {case_id or 'CASE'}")


def _keep_running(console: Console) -> None:
    _say(console, "still running, for other shells; ctrl-C stops it")
    try:
        while True:
            time.sleep(1.0)
    except KeyboardInterrupt:
        return


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
