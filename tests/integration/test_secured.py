"""A cluster as a hospital runs it, and every program of ours on it: TLS, SCRAM, client certificates, tokens, ACLs.

One broker for all cases. Rights are those of `vigia access plan`; each program has a principal of its own.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation

from ops.access import brokers
from ops.access.plan import Operation, Resource
from schemas.access.address import ServiceAddress
from schemas.errors import RegistryUnavailableError
from schemas.registry import Registry
from schemas.serde import Serde
from streams import topics
from streams.broker.admission import ask
from streams.broker.clients import admin_client, protocol_client, transactional_producer
from streams.broker.errors import NotAdmittedError, NotAllowedError
from streams.broker.log import read_log
from streams.client import CaseProducer, ConsumerError, EventConsumer
from streams.runtime.worker import EXIT_CRASHED
from tests.authority import Authority
from tests.guarded_registry import GuardedRegistry
from tests.integration.cases import jpeg
from tests.integration.hospital import PASSWORD, PATIENCE_S, PLAN, TOKEN, Hospital, servers, vigia
from tests.provider import Provider
from tests.secured import SecuredKafka
from tests.services import RegistryService

#: Broker and workers start within the first test, on a machine that does other things too.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def hospital(registry: RegistryService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """Topics made by the operator, under the rights of the plan."""
    folder = tmp_path_factory.mktemp("hospital")
    with ExitStack() as stack:
        provider = stack.enter_context(Provider(dict.fromkeys(PLAN, PASSWORD)))
        kafka = stack.enter_context(SecuredKafka(folder, provider))
        guarded = GuardedRegistry(registry.url, kafka.authority, password=PASSWORD, token=TOKEN)
        made = Hospital(folder, kafka, stack.enter_context(guarded), provider)
        stack.callback(made.stop)
        kafka.users({name: f"{PASSWORD}-{name}" for name in (*PLAN, "nobody")})
        brokers.apply(kafka.admin, PLAN)
        applied = vigia(made.scram("vigia-operator"), "topics", "apply")
        assert applied.exit_code == 0, applied.output
        yield made


def test_a_case_goes_through_under_a_principal_per_program(hospital: Hospital) -> None:
    """Inference by SCRAM, grading by tokens, escalation by certificate, and each way to the registry."""
    ways = {
        "inference-emergency": hospital.scram("vigia-inference-emergency"),
        "grading": hospital.oauth("vigia-grading"),
        "escalation": hospital.mtls("vigia-escalation"),
    }
    stages = {stage.name: stage for stage in topics.STAGES}
    for name, way in ways.items():
        hospital.start(name, stages[name].arguments, way)
    # Beside them, those that are refused.
    hospital.start("wrong", ("worker", "grading"), hospital.scram("vigia-grading", "wrong"))
    hospital.start("nobody", ("worker", "grading"), hospital.scram("nobody"))

    with CaseProducer(hospital.settings(hospital.mtls("vigia-publisher")), name="ward") as producer:
        case = producer.publish(
            image=jpeg(seed=4, stage="stage_4"),
            patient_code=None,
            analysis_type="emergency",
            captured_at=datetime.now(UTC),
        )
    with EventConsumer(
        hospital.settings(hospital.scram("vigia-subscriber")),
        topics.ESCALATIONS.values(),
        group_id="vigia-subscriber.1",
    ) as subscriber:
        deadline = time.monotonic() + PATIENCE_S
        found = None
        while found is None and time.monotonic() < deadline:
            assert all(hospital.running[name].running for name in ways), "a worker has ended"
            received = subscriber.next(1.0)
            found = received if received is not None and received.event.case_id == case.case_id else None
    assert found is not None, {name: hospital.log(name)[-2000:] for name in ways}

    # Refused at its first client: in the command line (1), or once it serves. A supervisor starts another either way.
    assert hospital.ended("wrong") in (1, EXIT_CRASHED)
    assert "wrong credentials: the broker at" in hospital.log("wrong")
    assert hospital.ended("nobody") in (1, EXIT_CRASHED)
    assert "not allowed: topic vigia." in hospital.log("nobody")
    verified = vigia(hospital.oauth("vigia-auditor"), "audit", "verify", "--json")
    assert verified.exit_code == 0, verified.output
    assert not json.loads(verified.stdout)["findings"]


def test_what_is_planned_is_allowed_and_nothing_else(hospital: Hospital) -> None:
    """Every principal × every topic × read and write, and every group, as the broker's authorizer answers."""
    names = [topic.name for topic in topics.ALL]
    groups = [stage.group for stage in topics.STAGES]
    tried = allowed = 0
    for principal, rights in PLAN.items():
        admin = admin_client(servers(hospital.scram(principal)))
        planned = {(right.resource, right.name, right.operation) for right in rights}
        topics_asked = admin.describe_topics(TopicCollection(names), include_authorized_operations=True)
        answers = [(Resource.TOPIC, name, topics_asked[name], (Operation.READ, Operation.WRITE)) for name in names]
        groups_asked = admin.describe_consumer_groups(groups, include_authorized_operations=True)
        answers += [(Resource.GROUP, name, groups_asked[name], (Operation.READ,)) for name in groups]
        for resource, name, future, operations in answers:
            try:
                found = set(future.result(30).authorized_operations or ())
            except KafkaException:
                found = set()
            for operation in operations:
                may = AclOperation[operation.name] in found
                assert may == ((resource, name, operation) in planned), f"{principal} {operation} {name}"
                tried, allowed = tried + 1, allowed + may
    assert tried == len(PLAN) * (2 * len(names) + len(groups))
    assert 0 < allowed < tried


def test_transactional_ids_belong_to_their_stage(hospital: Hospital) -> None:
    for stage in topics.STAGES[:3]:
        own = servers(hospital.scram(f"vigia-{stage.name}"))
        transactional_producer(own, f"{stage.group}-99").init_transactions(30)
    with pytest.raises(KafkaException, match="Transactional Id authorization failed"):
        transactional_producer(own, "vigia-escalation-0").init_transactions(30)


def test_rights_are_held_against_the_plan(hospital: Hospital) -> None:
    assert brokers.compare(hospital.kafka.admin, PLAN).sound
    more = {**PLAN, "vigia-publisher": (*PLAN["vigia-publisher"], *PLAN["vigia-answers"])}
    wanting = brokers.compare(hospital.kafka.admin, more)
    assert {principal for principal, _ in wanting.missing} == {"vigia-publisher"}
    fewer = {name: rights for name, rights in PLAN.items() if name != "vigia-publisher"}
    beyond = brokers.compare(hospital.kafka.admin, fewer).beyond
    assert beyond == (
        "User:vigia-publisher may WRITE topic vigia.cases.emergency",
        "User:vigia-publisher may WRITE topic vigia.cases.routine",
    )
    checked = vigia(hospital.scram("vigia-operator"), "access", "check")
    assert (checked.exit_code, checked.output) == (0, "the brokers allow what is planned, and nothing else\n")
    refused = vigia(hospital.scram("vigia-publisher"), "access", "check")
    assert refused.exit_code == 1
    assert refused.output.startswith("Error: not allowed: the cluster (")


def test_a_refusal_is_one_line_and_exit_code_1(hospital: Hospital, tmp_path: Path) -> None:
    other = Authority(tmp_path, "Other CA")
    stranger = other.sign("vigia-operator", ())
    good, mtls, oauth = (make("vigia-operator") for make in (hospital.scram, hospital.mtls, hospital.oauth))
    wrong = str(tmp_path / "wrong")
    Path(wrong).write_text("wrong")
    plain = {name: value for name, value in good.items() if not name.startswith("VIGIA_KAFKA_")}
    tls = {**plain, "VIGIA_KAFKA_SECURITY": "tls", "VIGIA_KAFKA_CA_FILE": good["VIGIA_KAFKA_CA_FILE"]}
    refused = {
        "wrong credentials: the broker at {scram} refuses user vigia-operator": {
            **good,
            "VIGIA_KAFKA_PASSWORD_FILE": wrong,
        },
        "wrong credentials: the token endpoint at 127.0.0.1 refuses client nobody": {
            **oauth,
            "VIGIA_KAFKA_CLIENT_ID": "nobody",
        },
        "the TLS connection to the broker at {scram} fails: its certificate is signed by an unknown CA, none of ca.pem": {  # noqa: E501
            **good,
            "VIGIA_KAFKA_CA_FILE": str(other.ca),
        },
        "the broker at {scram} speaks TLS: set VIGIA_KAFKA_SECURITY to tls, mtls, scram or oauth": plain,
        "the broker at {scram} asks for credentials on this port: VIGIA_KAFKA_SECURITY=scram or oauth": tls,
        "the TLS connection to the broker at {plain} fails: it speaks no TLS on this port": {
            **tls,
            "VIGIA_BOOTSTRAP_SERVERS": hospital.kafka.kafka.bootstrap_servers,
        },
        "the TLS connection to the broker at {mtls} fails: it asks for a client certificate (mtls)": {
            **tls,
            "VIGIA_BOOTSTRAP_SERVERS": hospital.kafka.mtls,
        },
        "the TLS connection to the broker at {mtls} fails: it refuses our client certificate": {
            **mtls,
            "VIGIA_KAFKA_CERT_FILE": str(stranger.cert),
            "VIGIA_KAFKA_KEY_FILE": str(stranger.key),
        },
        "the broker at {oauth} does not take SCRAM-SHA-512 on this port: VIGIA_KAFKA_SECURITY=scram": {
            **good,
            "VIGIA_BOOTSTRAP_SERVERS": hospital.kafka.oauth,
        },
    }
    places = {
        "scram": hospital.kafka.scram,
        "mtls": hospital.kafka.mtls,
        "oauth": hospital.kafka.oauth,
        "plain": hospital.kafka.kafka.bootstrap_servers,
    }
    for line, variables in refused.items():
        found = vigia(variables, "topics", "check")
        assert (found.exit_code, found.output) == (1, f"Error: {line.format(**places)}\n")


def test_what_a_program_may_not_do_is_said(hospital: Hospital) -> None:
    nobody = hospital.settings(hospital.scram("nobody"))
    with (
        CaseProducer(nobody, name="x") as producer,
        pytest.raises(NotAllowedError, match=r"topic vigia\.cases\.routine"),
    ):
        producer.publish(image=jpeg(seed=5), patient_code=None, captured_at=datetime.now(UTC))
    with (
        EventConsumer(nobody, [topics.GRADINGS], group_id="g") as consumer,
        pytest.raises(ConsumerError, match=r"not allowed: a (topic|consumer group)"),
    ):
        consumer.next(30.0)
    with pytest.raises(NotAllowedError, match=r"not allowed: topic vigia\.gradings"):
        list(read_log(nobody, [topics.GRADINGS]))
    # One that is missing is said to be missing, to whoever may see it.
    shown = vigia(hospital.scram("vigia-operator"), "consume", "vigia.typo", "--timeout", "1")
    assert "does not exist" in shown.output


def test_a_rotated_password_is_used_at_the_next_connection(hospital: Hospital) -> None:
    variables = hospital.scram("vigia-canary")
    file = Path(variables["VIGIA_KAFKA_PASSWORD_FILE"])

    async def twice() -> None:
        client = protocol_client(servers(variables))
        try:
            await client.bootstrap()
            await asyncio.to_thread(hospital.kafka.users, {"vigia-canary": "new"})
            await asyncio.to_thread(file.write_text, "new\n")
            # The same client, over new connections.
            await client.close()
            await client.bootstrap()
        finally:
            await client.close()

    asyncio.run(twice())
    ask(servers(variables))
    file.write_text("old")
    with pytest.raises(NotAdmittedError, match="wrong credentials"):
        ask(servers(variables))


def test_the_registry_by_each_way_and_refused(hospital: Hospital, tmp_path: Path) -> None:
    def reach(variables: Mapping[str, str]) -> list[int]:
        with Registry(ServiceAddress(hospital.registry.url, variables), retries=0, timeout_s=10) as registry:
            return registry.versions(f"{topics.GRADINGS}-value")

    ways = [hospital.scram("x"), hospital.oauth("x"), hospital.mtls("x")]
    for way in ways:
        assert reach(way)
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong")
    other = Authority(tmp_path / "other", "Other CA")
    refused = [
        ({**ways[0], "VIGIA_SCHEMA_REGISTRY_PASSWORD_FILE": str(wrong)}, "wrong credentials: the schema registry at"),
        ({**ways[1], "VIGIA_SCHEMA_REGISTRY_TOKEN_FILE": str(wrong)}, "wrong credentials: the schema registry at"),
        ({**ways[0], "VIGIA_SCHEMA_REGISTRY_CA_FILE": str(other.ca)}, "signed by an unknown CA, none of ca.pem"),
    ]
    for variables, line in refused:
        with pytest.raises(RegistryUnavailableError) as raised:
            reach(variables)
        assert line in str(raised.value)
        assert "\n" not in str(raised.value)
    serde = Serde(ServiceAddress(hospital.registry.url, ways[1]))
    Path(ways[1]["VIGIA_SCHEMA_REGISTRY_TOKEN_FILE"]).write_text(f"{TOKEN}\n")
    serde.warm_up(topics.RECORDS)


def test_no_log_holds_a_secret(hospital: Hospital) -> None:
    assert hospital.running
    for name in hospital.running:
        assert "S3CR3T" not in hospital.log(name)
