"""The whole benchmark in one run: interleaved rounds of all contestants, emergencies, growth."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from ops.bench import growth, latency
from ops.bench.contestant import Contestant
from ops.bench.growth import Growth
from ops.bench.latency import Latency
from ops.bench.load import Stored, store_pictures
from ops.bench.on_kafka import Pipeline, Rival
from ops.bench.rounds import Throughput, backlog, bare_loop, warm_up
from ops.system.system import Options, System

#: Pool sizes with which Celery competes; the pipeline is compared with the best of them.
CELERY_PROCESSES = (1, 2, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSizes:
    """The sizes of a run. `side` is the width and height of a picture in pixels."""

    rounds: int = 3
    cases: int = 2_500
    emergencies: int = 120
    waiting: int = 5_000
    side: int = 1_280
    rivals: bool = True
    growth: bool = True


@dataclass(slots=True, kw_only=True)
class BenchFigures:
    """What was measured: contestant → one throughput per round; (contestant, situation) → latency; growth."""

    rounds: dict[str, list[Throughput]] = field(default_factory=dict)
    emergencies: dict[tuple[str, str], Latency] = field(default_factory=dict)
    growth: list[Growth] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def run(folder: Path, sizes: BenchSizes, show: Callable[[str], None]) -> BenchFigures:
    """Measure everything. Raises EmbeddedError, TimeoutError."""
    # No heat maps: drawing them costs processor time, and no rival does it.
    env = {name: value for name, value in os.environ.items() if not name.startswith("VIGIA_")}
    env["VIGIA_HEAT_MAPS"] = "off"
    figures = BenchFigures()
    with ExitStack() as stack:
        system = stack.enter_context(System(Options(run_dir=folder / "run", programs=()), show, env=env))
        show("generating pictures")
        stored = store_pictures(system.settings, sizes.side)
        celery = _celery(system, stack, figures) if sizes.rivals else ()
        _rounds(figures, [*_on_kafka(system, sizes.rivals), *celery], stored, sizes, show)
        _emergencies(figures, Pipeline(system), "inference-emergency-1", stored, sizes, show)
        if celery:
            best = max(celery, key=lambda each: max(one.rate for one in figures.rounds[each.name]))
            _emergencies(figures, best, "celery", stored, sizes, show)
    if sizes.growth:
        _growth(figures, folder, env, sizes, show)
    return figures


def _on_kafka(system: System, rivals: bool) -> list[Contestant]:
    ours: list[Contestant] = [Pipeline(system), Pipeline(system, workers=2)]
    if rivals:
        ours.append(Rival(system, "plain loop, transactions", "plain", "transactions"))
        ours.append(Rival(system, "plain loop, at least once", "plain", "at-least-once"))
        ours.append(Rival(system, "stock Faust, at least once", "stock_faust"))
    return ours


def _celery(system: System, stack: ExitStack, figures: BenchFigures) -> Sequence[Contestant]:
    if find_spec("celery") is None or find_spec("redis") is None:
        figures.left_out.append("Celery: not installed (pip install 'vigia-streams[bench]')")
        return ()
    if shutil.which("redis-server") is None:
        figures.left_out.append("Celery: no redis-server on this machine (Debian: apt-get install redis-server)")
        return ()
    from ops.bench.on_celery import OnCelery, redis_server

    server, url = redis_server(system.run_dir)
    server.start()
    stack.callback(server.stop)
    return [OnCelery(system, server, url, count) for count in CELERY_PROCESSES]


def _rounds(
    figures: BenchFigures,
    contestants: Sequence[Contestant],
    stored: Stored,
    sizes: BenchSizes,
    show: Callable[[str], None],
) -> None:
    for number in range(1, sizes.rounds + 1):
        show(f"round {number} of {sizes.rounds}: bare loop")
        figures.rounds.setdefault("bare loop", []).append(bare_loop(stored, sizes.cases))
        for contestant in contestants:
            show(f"round {number} of {sizes.rounds}: {contestant.name}")
            figures.rounds.setdefault(contestant.name, []).append(backlog(contestant, stored, sizes.cases))


def _emergencies(
    figures: BenchFigures,
    contestant: Contestant,
    victim: str,
    stored: Stored,
    sizes: BenchSizes,
    show: Callable[[str], None],
) -> None:
    contestant.listen()
    contestant.start()
    try:
        warm_up(contestant, stored)
        situations: Mapping[str, tuple[int, str | None]] = {
            "idle": (0, None),
            "a worker is killed": (0, victim),
            # The last situation, since its backlog remains.
            f"{sizes.waiting} waiting": (sizes.waiting, None),
        }
        for situation, (waiting, kill) in situations.items():
            show(f"emergencies, {contestant.name}: {situation}")
            figures.emergencies[contestant.name, situation] = latency.emergencies(
                contestant, stored, sizes.emergencies, waiting=waiting, kill=kill
            )
    finally:
        contestant.stop()
        contestant.close()


def _growth(
    figures: BenchFigures, folder: Path, env: Mapping[str, str], sizes: BenchSizes, show: Callable[[str], None]
) -> None:
    figures.growth.append(growth.with_workers(folder, env, sizes.side, sizes.cases, show))
    with System(Options(run_dir=folder / "growth", programs=()), show, env=env) as system:
        figures.growth.extend(growth.with_pixels(system, max(64, sizes.cases // 4), show))
        figures.growth.append(growth.with_cases(system, store_pictures(system.settings, sizes.side), show))
