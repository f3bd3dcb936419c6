"""What `vigia up` runs beside broker and registry: declared here, once, in the order of the data."""

from __future__ import annotations

from dataclasses import dataclass


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


PROGRAMS = (
    # The emergency lane never waits for the routine lane: its own process, and the operating system prefers it.
    Program(name="inference-emergency", arguments=("worker", "inference", "--lane", "emergency")),
    Program(name="inference-routine", arguments=("worker", "inference", "--lane", "routine"), background=True),
    Program(name="grading", arguments=("worker", "grading")),
    Program(name="escalation", arguments=("worker", "escalation")),
    # Reads the broker only, so that lag is told truly when the workers are the trouble.
    Program(name="lag-exporter", arguments=("lag-exporter", "--port", "{port}"), is_worker=False),
)
#: Sends a synthetic case through all stages every ten seconds. Only where something watches how long it takes.
CANARY = Program(name="canary", arguments=("canary", "--port", "{port}"), is_worker=False)
