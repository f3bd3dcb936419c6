"""`vigia access`: the rights that each program needs on the brokers, and whether the brokers give exactly those."""

from __future__ import annotations

import click

from ops.access import brokers
from ops.access.plan import PREFIX, plan
from ops.access.strimzi import kafka_users
from ops.system.connect import broker_address
from ops.terminal.plain import echo, echo_block, echo_json
from streams.broker.clients import admin_client

_prefix = click.option(
    "--prefix", default=PREFIX, show_default=True, help="Before each role's name: the name that the brokers know."
)


@click.group("access")
def access() -> None:
    """Rights on the brokers, derived from the pipeline."""


@access.command("plan")
@_prefix
@click.option("--json", "as_json", is_flag=True, help="Write it as JSON.")
@click.option("--strimzi", is_flag=True, help="Write Strimzi KafkaUser resources (YAML).")
@click.option("--cluster", default="kafka", show_default=True, help="Name of Strimzi's Kafka resource.")
@click.option(
    "--authentication",
    type=click.Choice(["scram-sha-512", "tls", "tls-external"]),
    default="scram-sha-512",
    show_default=True,
    help="How these users prove who they are (Strimzi).",
)
def show_plan(prefix: str, as_json: bool, strimzi: bool, cluster: str, authentication: str) -> None:
    """Write what each program needs; no broker is asked."""
    planned = plan(prefix=prefix)
    if strimzi:
        echo_block(kafka_users(planned, cluster=cluster, authentication=authentication).rstrip("\n"))
    elif as_json:
        echo_json({principal: [str(right) for right in rights] for principal, rights in planned.items()})
    else:
        for principal, rights in planned.items():
            echo(principal)
            for right in rights:
                echo(f"  {right}")


@access.command("apply")
@_prefix
def apply(prefix: str) -> None:
    """Write the ACLs that the brokers lack; take nothing away. Needs ALTER on the cluster."""
    written = brokers.apply(admin_client(broker_address()), plan(prefix=prefix))
    for principal, right in written:
        echo(f"{principal}: {right}")
    echo(f"{len(written)} rights written")


@access.command("check")
@_prefix
def check(prefix: str) -> None:
    """Say where the brokers' ACLs differ from the plan; exit code 1 where they do."""
    found = brokers.compare(admin_client(broker_address()), plan(prefix=prefix))
    for principal, right in found.missing:
        echo(f"missing: {principal}: {right}")
    for line in (*(f"not planned: {binding}" for binding in found.beyond), *found.open):
        echo(line)
    if not found.sound:
        raise SystemExit(1)
    echo("the brokers allow what is planned, and nothing else")


@access.command("show")
@click.argument("principal")
def show(principal: str) -> None:
    """Write what the brokers allow PRINCIPAL."""
    lines = brokers.of_principal(admin_client(broker_address()), principal)
    for line in lines:
        echo(line)
    if not lines:
        raise click.ClickException(f"the brokers allow User:{principal} nothing")
