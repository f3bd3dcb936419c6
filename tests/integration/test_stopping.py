"""Every program that runs until it is stopped, stopped at many moments of its start.

The moments are processor time that the program has used, so that they mean the same on a busy machine.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from ops.cli import COMMANDS
from ops.system import stopping
from ops.system.context import running_system
from tests.integration.clocked import CHANNELS, clocked_system
from tests.programs import start_vigia
from tests.services import RegistryService

#: Seconds of processor time after which a program is stopped: before Python runs, in the midst of its imports (which
#: take 0.5 to 1.5 s), and once it has begun to work.
MOMENTS = (0.0, 0.03, 0.3, 0.9, 1.8)
#: Of what waits for its workers long before the last moment: it would be stopped twice while it serves, as it is in
#: test_embedded_up.py and test_demo.py too, and each time a whole system starts.
TO_SERVING = MOMENTS[:-1]
#: A program that uses less than a tenth of the processor for this long waits for something.
IDLE_S = 1.0
#: Generous: only the exit code is judged.
ENDED_WITHIN_S = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A command line after `vigia`, and what it ends with when it is stopped."""

    arguments: tuple[str, ...]
    code: int = 0
    number: signal.Signals = signal.SIGTERM
    moments: tuple[float, ...] = MOMENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where programs run: services, and a folder of their own."""

    env: dict[str, str]
    folder: Path


PROGRAMS = {
    "worker inference": Program(arguments=("worker", "inference", "--lane", "routine")),
    "worker escalation": Program(arguments=("worker", "escalation")),
    "notify": Program(arguments=("notify", "--targets", "{folder}/targets.yaml")),
    "lag-exporter": Program(arguments=("lag-exporter", "--port", "0")),
    "canary": Program(arguments=("canary", "--port", "0")),
    "watch": Program(arguments=("watch",)),
    "consume": Program(arguments=("consume", "vigia.gradings", "--group", "test-stopped")),
    "up": Program(arguments=("up", "--run-dir", "{folder}/up"), moments=TO_SERVING),
    # Once it serves, ctrl-C ends it well too.
    "up, ctrl-C": Program(
        arguments=("up", "--run-dir", "{folder}/up"),
        code=stopping.INTERRUPTED,
        number=signal.SIGINT,
        moments=(0.0, 0.3),
    ),
    "demo": Program(arguments=("demo", "--run-dir", "{folder}/demo"), code=stopping.INTERRUPTED, moments=TO_SERVING),
    "chaos": Program(arguments=("chaos", "--faults", "1", "--cases", "10", "--brokers", "1"), code=1),
    "bench": Program(arguments=("bench", "--rounds", "1", "--no-rivals", "--no-growth"), code=1),
}


@pytest.fixture(scope="module")
def place(registry: RegistryService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A broker with all topics, where no stage works."""
    folder = tmp_path_factory.mktemp("stopping")
    with clocked_system(registry, folder / "services") as clocked:
        channels = "".join(f'  "{channel}": ["json://127.0.0.1:9/"]\n' for channel in CHANNELS)
        (folder / "targets.yaml").write_text(f"channels:\n{channels}")
        # What the services' own system calls itself must not name the one that is started here.
        env = {name: value for name, value in clocked.env.items() if name != "VIGIA_RUN_DIR"}
        temporary = folder / "tmp"
        temporary.mkdir()
        yield Place(env={**env, "XDG_DATA_HOME": str(folder / "share"), "TMPDIR": str(temporary)}, folder=folder)


def test_every_program_here_is_one_and_none_is_missing() -> None:
    assert {program.arguments[0] for program in PROGRAMS.values()} == set(stopping.EXIT_CODES)
    assert set(stopping.EXIT_CODES) <= set(COMMANDS)


@pytest.mark.parametrize(
    ("name", "moment"), [(name, moment) for name, program in PROGRAMS.items() for moment in program.moments]
)
def test_a_program_stopped_at_any_moment_ends_as_promised_and_leaves_nothing(
    place: Place, tmp_path: Path, name: str, moment: float
) -> None:
    program = PROGRAMS[name]
    arguments = [argument.replace("{folder}", str(place.folder)) for argument in program.arguments]
    output = tmp_path / "output.txt"
    with output.open("wb") as log:
        process = start_vigia(*arguments, env=place.env, stdout=log, stderr=log)
    try:
        wait_for(process.pid, moment)
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(program.number)
        code = process.wait(ENDED_WITHIN_S)
    finally:
        process.kill()
        process.wait()
    said = output.read_text()
    assert code == program.code, said
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert [child for child in started if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    assert left_by(place.folder) == []
    assert running_system(place.env) is None
    assert list(Path(place.env["TMPDIR"]).iterdir()) == []


def wait_for(pid: int, moment: float) -> None:
    """Wait until the process has used that much processor time, or waits for something itself."""
    looked, then = time.monotonic(), used_s(pid)
    while (used := used_s(pid)) < moment:
        if time.monotonic() - looked > IDLE_S:
            if used - then < 0.1 * IDLE_S:
                return
            looked, then = time.monotonic(), used
        time.sleep(0.002)


def used_s(pid: int) -> float:
    """Processor time of the main thread, from the scheduler: the usual figures have steps of 10 ms."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def left_by(folder: Path) -> list[str]:
    """Processes that a program started in a folder of its own, and did not end."""
    lines = (" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"]))
    return [line for line in lines if any(f"{folder}/{own}" in line for own in ("up", "demo", "tmp"))]
