"""The rights that each program needs, and no other: derived from streams/pipeline.py. Pure.

What no right is planned for is refused: brokers must deny by default (`ops.access.brokers` looks).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from streams import topics
from streams.broker.clients import LOOKING, OBSERVER
from streams.broker.open_transactions import OFFSETS_TOPIC
from streams.pipeline import (
    ACKNOWLEDGEMENTS,
    AUDIT,
    CASES,
    ESCALATIONS,
    MODEL_CONTROL,
    REDRIVABLE,
    STAGES,
    STEPS,
    TICKS,
    StageDeclaration,
)

#: Kafka's name of the cluster as a resource.
CLUSTER = "kafka-cluster"
TRANSACTIONS_TOPIC = "__transaction_state"
#: Before the name of a role: the name under which a broker knows the program.
PREFIX = "vigia-"


class Resource(StrEnum):
    """Kinds of things that rights are about, as Kafka and Strimzi name them."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactionalId"
    CLUSTER = "cluster"


class Operation(StrEnum):
    """Operations, as Kafka and Strimzi name them. READ and WRITE contain DESCRIBE."""

    READ = "Read"
    WRITE = "Write"
    CREATE = "Create"
    DESCRIBE = "Describe"
    DESCRIBE_CONFIGS = "DescribeConfigs"


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One thing that one program may do; `prefix`: on everything whose name begins so."""

    resource: Resource
    name: str
    operation: Operation
    prefix: bool = False

    def __str__(self) -> str:
        return f"{self.operation} {self.resource} {self.name}{'*' if self.prefix else ''}"


Rights = tuple[Right, ...]


def plan(stages: Sequence[StageDeclaration] = STAGES, prefix: str = PREFIX) -> Mapping[str, Rights]:
    """Name of the principal → its rights, sorted. One principal per stage, and one per kind of program beside them."""
    every = tuple(topic.name for topic in topics.ALL)
    roles: dict[str, Iterable[Right]] = {stage.name: _stage(stage) for stage in stages}
    roles["publisher"] = _topics(Operation.WRITE, CASES.values())
    roles["answers"] = (
        *_topics(Operation.WRITE, (ACKNOWLEDGEMENTS,)),
        # The escalation that is answered, and the stage's verdict.
        *_topics(Operation.READ, (*ESCALATIONS.values(), AUDIT)),
        _OBSERVES,
    )
    roles["subscriber"] = (
        *_topics(Operation.READ, ESCALATIONS.values()),
        Right(Resource.GROUP, f"{prefix}subscriber", Operation.READ, prefix=True),
    )
    roles["canary"] = (
        *_topics(Operation.WRITE, CASES.values()),
        *_topics(Operation.READ, (topic for steps in STEPS.values() for topic in steps)),
        _OBSERVES,
    )
    roles["auditor"] = (*_looks(every), *(_group(stage.group, Operation.DESCRIBE) for stage in stages))
    roles["lag-exporter"] = (
        *_looks(every),
        # Groups of others, too: what is behind need not be ours.
        Right(Resource.GROUP, "*", Operation.DESCRIBE),
        Right(Resource.CLUSTER, CLUSTER, Operation.DESCRIBE),
    )
    roles["operator"] = (
        *_looks(every),
        *(_group(stage.group, Operation.DESCRIBE) for stage in stages),
        # `vigia topics apply` and `check`.
        Right(Resource.TOPIC, "vigia.", Operation.CREATE, prefix=True),
        Right(Resource.TOPIC, "vigia.", Operation.DESCRIBE, prefix=True),
        *_topics(Operation.DESCRIBE_CONFIGS, (OFFSETS_TOPIC, TRANSACTIONS_TOPIC)),
        *_topics(Operation.DESCRIBE, (OFFSETS_TOPIC, TRANSACTIONS_TOPIC)),
        Right(Resource.CLUSTER, CLUSTER, Operation.DESCRIBE),
        Right(Resource.CLUSTER, CLUSTER, Operation.DESCRIBE_CONFIGS),
        # `vigia model`, `vigia dead-letters redrive`, `vigia audit erase`, `vigia skip`.
        *_topics(Operation.WRITE, (MODEL_CONTROL, *REDRIVABLE, AUDIT, *(stage.state_topic for stage in stages))),
        Right(Resource.TRANSACTIONAL_ID, "vigia-dead-letters-redrive", Operation.WRITE),
        Right(Resource.TRANSACTIONAL_ID, "vigia-audit-erase-", Operation.WRITE, prefix=True),
    )
    return {f"{prefix}{role}": tuple(sorted(set(rights))) for role, rights in roles.items()}


def _stage(stage: StageDeclaration) -> Iterable[Right]:
    # Deadlines are records as well: whoever reads them also writes them (its ticker).
    written = (*stage.written, *((TICKS,) if TICKS in stage.reads else ()))
    yield from _topics(Operation.WRITE, written)
    # What it writes it may read: a transaction that a broker left open is found only by who may (streams/runtime/
    # hanging.py), in the group's offsets too.
    yield from _topics(Operation.READ, (*stage.reads, *stage.remarks_on, *written, OFFSETS_TOPIC))
    yield _group(stage.group, Operation.READ)
    yield _OBSERVES
    yield Right(Resource.TRANSACTIONAL_ID, f"{stage.group}-", Operation.WRITE, prefix=True)


def _looks(every: Iterable[str]) -> Iterable[Right]:
    """Looks at records and settings of all topics, without a group."""
    every = tuple(every)
    yield from _topics(Operation.READ, every)
    yield from _topics(Operation.DESCRIBE_CONFIGS, every)
    yield _OBSERVES
    yield _group(LOOKING, Operation.DESCRIBE)


def _topics(operation: Operation, names: Iterable[str]) -> Iterable[Right]:
    return (Right(Resource.TOPIC, name, operation) for name in names)


def _group(name: str, operation: Operation) -> Right:
    return Right(Resource.GROUP, name, operation)


#: Even a reader that joins no group needs it: librdkafka asks for a group's coordinator whatever it is to do.
_OBSERVES = _group(OBSERVER, Operation.DESCRIBE)
