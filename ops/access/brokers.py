"""ACLs on the brokers: what is there, what the plan lacks there, and what goes beyond it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from ops.access.plan import CLUSTER, Operation, Resource, Right, Rights
from schemas.errors import OneLineError
from streams.broker.words import in_words

TIMEOUT_S = 30.0
_RESOURCES: Mapping[Resource, ResourceType] = {
    Resource.TOPIC: ResourceType.TOPIC,
    Resource.GROUP: ResourceType.GROUP,
    Resource.TRANSACTIONAL_ID: ResourceType.TRANSACTIONAL_ID,
    Resource.CLUSTER: ResourceType.BROKER,
}
_OPERATIONS: Mapping[Operation, AclOperation] = {
    Operation.READ: AclOperation.READ,
    Operation.WRITE: AclOperation.WRITE,
    Operation.CREATE: AclOperation.CREATE,
    Operation.DESCRIBE: AclOperation.DESCRIBE,
    Operation.DESCRIBE_CONFIGS: AclOperation.DESCRIBE_CONFIGS,
}
_USER = "User:"


class AccessPlanError(OneLineError):
    """The brokers do not show or take ACLs; one line with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The plan held against the brokers. Texts are one line each."""

    #: Principal and right that are planned and not there.
    missing: tuple[tuple[str, Right], ...]
    #: Bindings on what is ours, or of our principals, that are not planned.
    beyond: tuple[str, ...]
    #: Why the brokers do not deny by default; empty where they do.
    open: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether exactly the plan is allowed, and nothing else."""
        return not (self.missing or self.beyond or self.open)


def apply(admin: AdminClient, plan: Mapping[str, Rights]) -> tuple[tuple[str, Right], ...]:
    """Write what the brokers lack; nothing is taken away. Returns what was written. Raises AccessPlanError."""
    missing = compare(admin, plan).missing
    if missing:
        for future in admin.create_acls(
            [_binding(principal, right) for principal, right in missing], request_timeout=TIMEOUT_S
        ).values():
            _answer(future)
    return missing


def compare(admin: AdminClient, plan: Mapping[str, Rights]) -> Comparison:
    """Raises AccessPlanError where the brokers have no authorizer, or do not let us see their ACLs."""
    there = _bindings(admin)
    planned = {
        _key(_binding(principal, right)): (principal, right) for principal, rights in plan.items() for right in rights
    }
    found = {_key(binding): binding for binding in there}
    return Comparison(
        missing=tuple(value for key, value in planned.items() if key not in found),
        beyond=tuple(
            sorted(_shown(binding) for key, binding in found.items() if key not in planned and _ours(binding, plan))
        ),
        open=tuple(_open(admin)),
    )


def of_principal(admin: AdminClient, principal: str) -> tuple[str, ...]:
    """What the brokers allow (or deny) a principal, one line each. Raises AccessPlanError."""
    return tuple(sorted(_shown(each) for each in _bindings(admin) if each.principal == f"{_USER}{principal}"))


def _ours(binding: AclBinding, plan: Mapping[str, Rights]) -> bool:
    if binding.principal.removeprefix(_USER) in plan:
        return True
    if binding.permission_type == AclPermissionType.DENY:
        return False
    # Of others: what reaches our topics, groups or transactional ids, by name or by a pattern.
    name = binding.name
    if binding.restype == ResourceType.BROKER:
        return False
    ours = "vigia." if binding.restype == ResourceType.TOPIC else "vigia-"
    reaches = name.startswith(ours) or name == "*"
    return reaches or (binding.resource_pattern_type == ResourcePatternType.PREFIXED and ours.startswith(name))


def _open(admin: AdminClient) -> Iterable[str]:
    try:
        for node in sorted(admin.list_topics(timeout=TIMEOUT_S).brokers):
            resource = ConfigResource(ConfigResource.Type.BROKER, str(node))
            (future,) = admin.describe_configs([resource], request_timeout=TIMEOUT_S).values()
            found = {name: str(entry.value) for name, entry in _answer(future).items()}
            if found.get("allow.everyone.if.no.acl.found", "false").lower() == "true":
                yield f"broker {node}: allow.everyone.if.no.acl.found is true; what has no ACL is open to everybody"
    except KafkaException as error:
        raise AccessPlanError(f"the brokers' settings cannot be read: {in_words(error.args[0])}") from None


def _bindings(admin: AdminClient) -> list[AclBinding]:
    everything = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
    )
    found: list[AclBinding] = _answer(admin.describe_acls(everything, request_timeout=TIMEOUT_S))
    return found


def _binding(principal: str, right: Right) -> AclBinding:
    return AclBinding(
        _RESOURCES[right.resource],
        CLUSTER if right.resource is Resource.CLUSTER else right.name,
        ResourcePatternType.PREFIXED if right.prefix else ResourcePatternType.LITERAL,
        f"{_USER}{principal}",
        "*",
        _OPERATIONS[right.operation],
        AclPermissionType.ALLOW,
    )


def _key(binding: AclBinding) -> tuple[Any, ...]:
    return (
        binding.restype,
        binding.name,
        binding.resource_pattern_type,
        binding.principal,
        binding.host,
        binding.operation,
        binding.permission_type,
    )


def _shown(binding: AclBinding) -> str:
    kind = {value: key.value for key, value in _RESOURCES.items()}.get(binding.restype, binding.restype.name)
    star = "*" if binding.resource_pattern_type == ResourcePatternType.PREFIXED else ""
    who = binding.principal if binding.host == "*" else f"{binding.principal} from {binding.host}"
    verb = "may" if binding.permission_type == AclPermissionType.ALLOW else "must not"
    return f"{who} {verb} {binding.operation.name} {kind} {binding.name}{star}"


def _answer(future: Future[Any]) -> Any:
    try:
        return future.result(TIMEOUT_S)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.SECURITY_DISABLED:
            raise AccessPlanError("the brokers have no authorizer: everybody may do everything") from None
        raise AccessPlanError(in_words(error.args[0])) from None
    except TimeoutError:
        raise AccessPlanError(f"no answer within {TIMEOUT_S:.0f} s") from None
