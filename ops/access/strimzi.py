"""The plan as Strimzi's `KafkaUser` resources, for a cluster on Kubernetes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import yaml

from ops.access.plan import Resource, Rights

API = "kafka.strimzi.io/v1beta2"


def kafka_users(plan: Mapping[str, Rights], *, cluster: str, authentication: str) -> str:
    """One YAML document per principal; `authentication` is Strimzi's type (scram-sha-512, tls, tls-external)."""
    users = [_user(name, rights, cluster, authentication) for name, rights in plan.items()]
    return yaml.safe_dump_all(users, sort_keys=False, explicit_start=True)


def _user(name: str, rights: Rights, cluster: str, authentication: str) -> dict[str, Any]:
    operations: defaultdict[tuple[Resource, str, bool], list[str]] = defaultdict(list)
    for right in rights:
        operations[right.resource, right.name, right.prefix].append(right.operation.value)
    return {
        "apiVersion": API,
        "kind": "KafkaUser",
        "metadata": {"name": name, "labels": {"strimzi.io/cluster": cluster}},
        "spec": {
            "authentication": {"type": authentication},
            "authorization": {
                "type": "simple",
                "acls": [{"resource": _resource(*place), "operations": done} for place, done in operations.items()],
            },
        },
    }


def _resource(resource: Resource, name: str, prefix: bool) -> dict[str, str]:
    if resource is Resource.CLUSTER:
        return {"type": resource.value}
    return {"type": resource.value, "name": name, "patternType": "prefix" if prefix else "literal"}
