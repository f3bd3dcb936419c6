"""`vigia topics`: bring a cluster and its registry to what streams/topics.py declares, or say where they differ."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ops.system.context import load_settings
from ops.terminal.plain import echo, echo_json
from schemas import acceptance, definitions
from schemas.errors import SchemaNotRegisteredError, UndecodableError
from schemas.registry import COMPATIBILITY, Registry, subject_of
from schemas.serde import Serde
from streams import topics
from streams.broker import cluster_settings, topic_admin
from streams.broker.clients import admin_client

#: What brings a registry back that lost a schema or a rule.
MEND = "run `vigia topics apply`"


@click.group("topics")
def topics_group() -> None:
    """Topics and the schemas on them."""


@topics_group.command("apply")
@click.option("--json", "as_json", is_flag=True, help="Write the outcome as JSON.")
def apply(as_json: bool) -> None:
    """Create the topics that are missing and register their schemas; change nothing that is there.

    Exit code 1 when an existing topic differs so much that the pipeline must not run on it.
    """
    settings = load_settings()
    applied = topic_admin.apply(admin_client(settings.bootstrap_servers), settings)
    serde = Serde(settings.schema_registry_url)
    ids = serde.register_all(topics.RECORDS)
    serde.close()
    if as_json:
        echo_json({"created": applied.created, "schema_ids": ids, **_as_json(applied.differences)})
    else:
        for name in applied.created:
            echo(f"created {name} ({settings.partitions} partitions)")
        echo(f"{len(topics.ALL)} topics, {len(ids)} with schemas under {COMPATIBILITY}")
        _show(applied.differences)
    _exit(applied.differences)


@topics_group.command("check")
@click.option("--json", "as_json", is_flag=True, help="Write the differences as JSON.")
def check(as_json: bool) -> None:
    """Say where the cluster and the registry differ from what is declared; exit code 1 when the pipeline cannot run.

    Brokers' own settings and release are looked at too: what exactly-once rests on.
    """
    settings = load_settings()
    admin = admin_client(settings.bootstrap_servers)
    differences = topic_admin.check(admin, settings)
    differences += cluster_settings.check(admin, settings.bootstrap_servers, settings)
    with Registry(settings.schema_registry_url) as registry:
        differences += tuple(_registry_differences(registry))
    if as_json:
        echo_json(_as_json(differences))
    else:
        _show(differences)
        if not any(difference.topic in topics.BY_NAME for difference in differences):
            echo(f"{len(topics.ALL)} topics are as declared")
    _exit(differences)


def _registry_differences(registry: Registry) -> Iterator[topic_admin.Difference]:
    for topic, record in topics.RECORDS:
        subject = subject_of(topic)
        try:
            registry.schema_id(subject, definitions.text(record.__avro__.full_name))
        except SchemaNotRegisteredError:
            yield _of_registry(topic, "schema of this version", "not registered", f"registered: {MEND}")
            continue
        level = registry.compatibility(subject) or "unset"
        if level != COMPATIBILITY:
            yield _of_registry(topic, "schema compatibility", level, f"{COMPATIBILITY}: {MEND}")
        for version in registry.versions(subject):
            try:
                acceptance.accept(registry.version(subject, version))
            except UndecodableError as error:
                # It came in while the rule was off, or by a mistake: no stage reads what is written with it.
                yield _of_registry(
                    topic, f"version {version} of the schema", f"refused ({error})", "one that is read: delete it"
                )


def _of_registry(topic: str, what: str, found: str, expected: str) -> topic_admin.Difference:
    return topic_admin.Difference(topic=topic, what=what, expected=expected, found=found, serious=True)


def _show(differences: tuple[topic_admin.Difference, ...]) -> None:
    for difference in differences:
        echo(f"{'must be mended' if difference.serious else 'differs'}: {difference}")


def _as_json(differences: tuple[topic_admin.Difference, ...]) -> dict[str, object]:
    return {
        "differences": [
            {"topic": d.topic, "what": d.what, "expected": d.expected, "found": d.found, "serious": d.serious}
            for d in differences
        ]
    }


def _exit(differences: tuple[topic_admin.Difference, ...]) -> None:
    if any(difference.serious for difference in differences):
        raise SystemExit(1)
