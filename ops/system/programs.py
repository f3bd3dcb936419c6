"""What `vigia up` runs beside broker and registry, in the order of the data."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from streams import pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One `vigia …` command that runs until it is told to stop."""

    name: str
    #: Command line after `vigia`. `{port}` becomes a free port of loopback, where the program is to serve its metrics.
    arguments: tuple[str, ...]
    #: Whether it gives way to everything else on the machine (see `ops.embedded.guard`).
    background: bool = False
    #: Whether it is a worker of a stage: `--workers N` runs N of it, which share the partitions, and each writes down
    #: where its metrics are.
    is_worker: bool = True


def _worker(stage: pipeline.StageDeclaration) -> Program:
    return Program(name=stage.name, arguments=stage.arguments, background=stage.background)


#: A worker of every stage that always runs.
WORKERS: tuple[Program, ...] = tuple(_worker(stage) for stage in pipeline.running({}))
PROGRAMS: tuple[Program, ...] = (
    *WORKERS,
    # Reads the broker only, so that lag is told truly when the workers are the trouble.
    Program(name="lag-exporter", arguments=("lag-exporter", "--port", "{port}"), is_worker=False),
)
#: Sends a synthetic case through all stages every ten seconds. Only where something watches how long it takes.
CANARY = Program(name="canary", arguments=("canary", "--port", "{port}"), is_worker=False)


def optional_workers(env: Mapping[str, str] = os.environ) -> tuple[Program, ...]:
    """Workers of the stages that run only because this environment has set them up."""
    return tuple(_worker(stage) for stage in pipeline.running(env) if stage.needs is not None)


def expected_groups(env: Mapping[str, str] = os.environ) -> Mapping[str, tuple[str, ...]]:
    """Consumer group → topics, of every stage that must run here: one that was never started is seen to lag."""
    return {stage.group: stage.reads for stage in pipeline.running(env)}
