"""The contestants on Kafka: the pipeline, and the rivals with one process per stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from confluent_kafka.admin import AdminClient, NewTopic

from ops.bench import rivals
from ops.bench.arrivals import Arrivals
from ops.bench.contestant import Answered, Contestant
from ops.bench.load import open_producer, publish
from ops.system.programs import WORKERS
from ops.system.system import System
from schemas.events import CaseEvent, GradingEvent, Lane
from streams import topics


class _OnKafka(Contestant):
    """A contestant whose results are read from topics, read_committed, and timed by the broker's timestamps."""

    cases: Mapping[Lane, str] = topics.CASES
    outputs: tuple[str, ...] = (topics.GRADINGS, *topics.ESCALATIONS.values())

    def __init__(self, system: System) -> None:
        super().__init__(system)
        self._producer = open_producer(system.settings)
        self._arrivals: Arrivals | None = None
        self._wanted: dict[UUID, int] = {}
        self._have: dict[UUID, tuple[int, float]] = {}
        self._read = 0

    def listen(self) -> None:
        """Read from the present end of its output topics."""
        self.close()
        self._arrivals = Arrivals(self.system.settings, self.serde, self.outputs)
        self._wanted, self._have, self._read = {}, {}, 0

    def close(self) -> None:
        """Close the reader."""
        if self._arrivals is not None:
            self._arrivals.close()
            self._arrivals = None

    def publish(self, cases: Sequence[CaseEvent]) -> None:
        """Publish to its case topics."""
        publish(self._producer, self.serde, cases, self.cases)

    def answered(self) -> Answered:
        """Cases with their grading and all escalations that it asks for."""
        assert self._arrivals is not None
        self._arrivals.read(0.1)
        for _, event, at in self._arrivals.seen[self._read :]:
            if isinstance(event, GradingEvent):
                self._wanted[event.case_id] = 1 + len(event.escalations)
            count, last = self._have.get(event.case_id, (0, 0.0))
            self._have[event.case_id] = count + 1, max(last, at)
        self._read = len(self._arrivals.seen)
        return {
            case_id: at for case_id, (count, at) in self._have.items() if count >= self._wanted.get(case_id, 1_000_000)
        }


class Pipeline(_OnKafka):
    """This project's pipeline, as `vigia up` runs it, with `workers` of the routine lane."""

    def __init__(self, system: System, workers: int = 1) -> None:
        super().__init__(system)
        self.name = "pipeline" if workers == 1 else f"pipeline, {workers} workers"
        self._workers = workers
        self._programs = WORKERS

    def commands(self) -> dict[str, list[str]]:
        """One process per program; `workers` of inference on the routine lane, as the others are far from busy."""
        return {
            f"{program.name}-{number}": ["-m", "ops", *program.arguments]
            for program in self._programs
            for number in range(1, 1 + (self._workers if program.background else 1))
        }

    def background(self, name: str) -> bool:
        """As declared in `ops.system.programs`."""
        return any(program.background for program in self._programs if name.startswith(program.name))


class Rival(_OnKafka):
    """A rival with one process per stage, on topics of its own."""

    cases = dict.fromkeys(topics.CASES, rivals.CASES)
    outputs = (rivals.GRADINGS, rivals.ESCALATIONS)

    def __init__(self, system: System, name: str, module: str, *arguments: str) -> None:
        create_topics(system)
        super().__init__(system)
        self.name, self._module, self._arguments = name, module, arguments

    def commands(self) -> dict[str, list[str]]:
        """One process per stage."""
        return {
            f"{self._module}-{stage}": ["-m", f"ops.bench.rivals.{self._module}", stage, *self._arguments]
            for stage in rivals.FLOW
        }

    def more_environment(self) -> dict[str, str]:
        """The data folder of Faust, which would otherwise be made in the current directory."""
        return {"FAUST_DATADIR": str(self.system.run_dir / "faust")}


def create_topics(system: System) -> None:
    """Create the rivals' topics, with as many partitions as the pipeline's."""
    names = (rivals.CASES, rivals.INFERENCES, rivals.GRADINGS, rivals.ESCALATIONS)
    admin = AdminClient({"bootstrap.servers": system.settings.bootstrap_servers, "log_level": 0})
    wanted = set(names) - set(admin.list_topics(timeout=10).topics)
    if not wanted:
        return
    created = admin.create_topics([NewTopic(name, system.settings.partitions, 1) for name in sorted(wanted)])
    for future in created.values():
        future.result(30)
