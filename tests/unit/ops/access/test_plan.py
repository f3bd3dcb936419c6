"""Rights follow from the pipeline's declaration: a stage may do what it declares, and nobody what is another's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from click.testing import CliRunner

from ops.access.plan import Operation, Resource, Right, plan
from ops.access.strimzi import kafka_users
from ops.cli import cli
from streams import topics
from streams.pipeline import (
    ACKNOWLEDGEMENTS,
    AUDIT,
    CASES,
    ESCALATIONS,
    GRADINGS,
    INFERENCES,
    MODEL_CONTROL,
    STAGES,
    TICKS,
    StageDeclaration,
)

PLAN = plan()


def may(principal: str, operation: Operation, name: str, resource: Resource = Resource.TOPIC) -> bool:
    """Whether one of its rights covers this."""
    return any(
        right.resource is resource
        and right.operation is operation
        and (name.startswith(right.name) if right.prefix else right.name in (name, "*"))
        for right in PLAN[principal]
    )


def who_may(operation: Operation, name: str, resource: Resource = Resource.TOPIC) -> set[str]:
    return {principal.removeprefix("vigia-") for principal in PLAN if may(principal, operation, name, resource)}


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stage_may_do_what_it_declares(stage: StageDeclaration) -> None:
    me = f"vigia-{stage.name}"
    assert all(may(me, Operation.READ, topic) for topic in (*stage.reads, *stage.remarks_on, stage.state_topic))
    assert all(may(me, Operation.WRITE, topic) for topic in stage.written)
    assert may(me, Operation.READ, stage.group, Resource.GROUP)
    assert may(me, Operation.WRITE, f"{stage.group}-3", Resource.TRANSACTIONAL_ID)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_what_is_a_stages_own_is_nobody_elses(stage: StageDeclaration) -> None:
    own = {stage.name}
    # Whoever lays a record aside by hand (`vigia skip`) writes an order there.
    assert who_may(Operation.WRITE, stage.state_topic) == own | {"operator"}
    assert who_may(Operation.READ, stage.group, Resource.GROUP) == own
    assert who_may(Operation.WRITE, f"{stage.group}-0", Resource.TRANSACTIONAL_ID) == own


def test_who_may_write_what() -> None:
    stages = {stage.name for stage in STAGES}
    written = {
        **{topic: {"publisher", "canary", "operator"} for topic in CASES.values()},
        INFERENCES: {"inference-emergency", "inference-routine", "operator"},
        ACKNOWLEDGEMENTS: {"answers", "escalation", "operator"},
        TICKS: {"escalation"},
        MODEL_CONTROL: {"operator"},
        AUDIT: stages | {"operator"},
        GRADINGS: stages | {"operator"},
        topics.DEAD_LETTERS: stages,
        **{topic: {"escalation", "operator"} for topic in ESCALATIONS.values()},
    }
    assert {name: who_may(Operation.WRITE, name) for name in written} == written
    assert {topic.name for topic in topics.ALL} == {*written, *(stage.state_topic for stage in STAGES)}


def test_who_only_looks_writes_nothing() -> None:
    for principal in ("vigia-auditor", "vigia-lag-exporter", "vigia-subscriber"):
        assert {right.operation for right in PLAN[principal]}.isdisjoint({Operation.WRITE, Operation.CREATE})


def test_who_publishes_reads_nothing() -> None:
    assert {right.operation for right in PLAN["vigia-publisher"]} == {Operation.WRITE}


def test_nobody_may_everything() -> None:
    for rights in PLAN.values():
        for right in rights:
            assert right.name
            if right.name == "*":
                assert right == Right(Resource.GROUP, "*", Operation.DESCRIBE)


def test_a_stage_that_is_added_has_its_rights() -> None:
    added = replace(STAGES[2], name="triage", reads=(GRADINGS,), writes={}, passes=())
    assert plan([*STAGES, added], prefix="h-")["h-triage"] == tuple(
        sorted(
            {
                Right(Resource.TOPIC, "__consumer_offsets", Operation.READ),
                *(Right(Resource.TOPIC, name, Operation.READ) for name in (*added.written, GRADINGS)),
                *(Right(Resource.TOPIC, name, Operation.WRITE) for name in added.written),
                Right(Resource.GROUP, "vigia-triage", Operation.READ),
                Right(Resource.GROUP, "vigia-observer", Operation.DESCRIBE),
                Right(Resource.TRANSACTIONAL_ID, "vigia-triage-", Operation.WRITE, prefix=True),
            }
        )
    )


def test_strimzi_says_the_same() -> None:
    users = list(yaml.safe_load_all(kafka_users(PLAN, cluster="ward", authentication="tls")))
    assert [user["metadata"]["name"] for user in users] == list(PLAN)
    for user in users:
        assert (user["kind"], user["metadata"]["labels"]) == ("KafkaUser", {"strimzi.io/cluster": "ward"})
        assert user["spec"]["authentication"] == {"type": "tls"}
        said = {
            Right(
                Resource(acl["resource"]["type"]),
                acl["resource"].get("name", "kafka-cluster"),
                Operation(operation),
                prefix=acl["resource"].get("patternType") == "prefix",
            )
            for acl in user["spec"]["authorization"]["acls"]
            for operation in acl["operations"]
        }
        assert said == set(PLAN[user["metadata"]["name"]])


def test_the_plan_is_shown_without_a_broker() -> None:
    shown = CliRunner().invoke(cli, ["access", "plan"])
    assert shown.exit_code == 0
    assert "vigia-publisher\n  Write topic vigia.cases.emergency\n" in shown.output
    strimzi = CliRunner().invoke(cli, ["access", "plan", "--strimzi", "--prefix", "h-"]).output
    assert [user["metadata"]["name"] for user in yaml.safe_load_all(strimzi)] == list(plan(prefix="h-"))
