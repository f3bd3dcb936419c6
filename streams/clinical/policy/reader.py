"""Turns the plain mapping of a policy file into a `Policy`, or says in one line what is wrong with it.

A worker does not start on a policy that this refuses, so it refuses whatever would only be noticed at a bedside: a
typo, an unknown class, a missing translation, a text nobody uses, a deadline that claims a guideline, a rule that
relaxes another.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping

from schemas.events import EscalationType, ProtocolReference, Reason, ReviewPriority, Severity, StageClass, Text
from streams.clinical.policy.fields import Section, fail, known_code
from streams.clinical.policy.rules import Names, read_factors, read_id, read_rules
from streams.clinical.policy.safety import check_policy
from streams.clinical.policy.values import (
    DEADLINE_SOURCES,
    SOURCES,
    ClassSpec,
    EscalationSpec,
    Label,
    Policy,
    PrioritySpec,
    Problem,
    Protocol,
    Rule,
)

_VERSION = re.compile(r"[0-9]{1,5}\.[0-9]{1,5}\.[0-9]{1,5}")
#: Mappings whose order means something.
_ORDERED = ("severities", "classes", "escalations")
#: Code of the reason of an escalation that was taken up and not resolved in time.
UNRESOLVED = "unresolved"
_NAME = re.compile(r"[a-z][a-z0-9.-]{0,79}")


def content_hash(content: Mapping[str, object]) -> str:
    """SHA-256 (hex) of the content alone: comments, layout and the order of keys in the file do not count.

    The order of lists and of the classes, severities and escalations counts, since decisions depend on it.
    """
    orders = [list(value) for key in _ORDERED if isinstance(value := content.get(key), Mapping)]
    canonical = json.dumps([content, orders], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def read_policy(content: Mapping[str, object]) -> Policy:
    """The policy that a complete plain mapping describes. Raises PolicyError, one line that names the path."""
    root = Section(content, "")
    name = _matching(root, "id", _NAME, "must be lower-case letters, digits, dots and hyphens")
    version = _matching(root, "version", _VERSION, "must be three numbers such as 1.0.0")
    disclaimer = _translated(root.section("disclaimer"), "disclaimer")
    severities = {
        known_code(key, entry.path, Severity): _translated(entry, key) for key, entry in root.sections("severities")
    }
    classes = {known_code(key, entry.path, StageClass): _class(entry, key) for key, entry in root.sections("classes")}
    ambiguity = root.section("ambiguity")
    ambiguous_within = ambiguity.probability("within")
    ambiguity.choice("source", SOURCES)
    ambiguity.done()
    factors = read_factors(root)
    protocols = {read_id(key, entry.path): _protocol(entry, key) for key, entry in root.sections("protocols")}
    texts = {read_id(key, entry.path): _translated(entry, key) for key, entry in root.sections("texts")}
    names = Names(
        texts=texts,
        factors=factors,
        protocols={key: protocol.reference for key, protocol in protocols.items()},
        used=set(),
    )
    rules = read_rules(root, names)
    for code in texts:
        if code not in names.used:
            fail(f"texts.{code}", "no rule uses this text")
    mucosal_factor, mucosal_reason = _mucosal(root.section("mucosal"), names, rules)
    roles = {read_id(key, entry.path): _translated(entry, key) for key, entry in root.sections("ladder_roles")}
    escalations = {
        known_code(key, entry.path, EscalationType): _escalation(entry, key, roles)
        for key, entry in root.sections("escalations")
    }
    priorities = tuple(_priority(entry, names) for entry in root.items("review_priorities"))
    unresolved = _unresolved(root.section("unresolved"))
    root.done()
    policy = Policy(
        id=name,
        version=version,
        hash=content_hash(content),
        disclaimer=disclaimer,
        severities=severities,
        classes=classes,
        ambiguous_within=ambiguous_within,
        mucosal_factor=mucosal_factor,
        mucosal_reason=mucosal_reason,
        factors=factors,
        rules=rules,
        texts=texts,
        escalations=escalations,
        roles=roles,
        priorities=priorities,
        unresolved=unresolved,
        protocols=protocols,
        severity_rank={severity: rank for rank, severity in enumerate(severities)},
        class_rank={stage: rank for rank, stage in enumerate(classes)},
    )
    check_policy(policy)
    return policy


def _matching(section: Section, key: str, pattern: re.Pattern[str], problem: str) -> str:
    value = section.text(key)
    if pattern.fullmatch(value) is None:
        fail(section.at(key), problem)
    return value


def _translated(section: Section, code: str) -> Text:
    text = Text(code=code, es=section.translation("es"), en=section.translation("en"))
    section.done()
    return text


def _label(section: Section) -> Label:
    label = Label(source=section.choice("source", SOURCES), es=section.translation("es"), en=section.translation("en"))
    section.done()
    return label


def _class(entry: Section, key: str) -> ClassSpec:
    spec = ClassSpec(
        id=known_code(key, entry.path, StageClass),
        label=_label(entry.section("label")),
        definition=_label(entry.section("definition")),
    )
    entry.done()
    return spec


def _protocol(entry: Section, key: str) -> Protocol:
    version = _matching(entry, "version", _VERSION, "must be three numbers such as 1.0.0")
    protocol = Protocol(
        reference=ProtocolReference(id=key, version=version),
        source=entry.choice("source", SOURCES),
        es=entry.translation("es"),
        en=entry.translation("en"),
        steps=tuple(_translated(step, f"{key}_{number}") for number, step in enumerate(entry.items("steps"), start=1)),
    )
    entry.done()
    return protocol


def _mucosal(section: Section, names: Names, rules: tuple[Rule, ...]) -> tuple[str, str]:
    factor = section.choice("factor", tuple(names.factors))
    reason = section.choice("reason", tuple(rule.id for rule in rules))
    section.done()
    rule = next(rule for rule in rules if rule.id == reason)
    if rule.when.factors != {factor} or rule.staging:
        fail(section.at("reason"), f"the rule {reason} must match on the factor {factor} alone, and not name a class")
    return factor, reason


def _unresolved(section: Section) -> Reason:
    reason = Reason(
        code=UNRESOLVED,
        rule_id=UNRESOLVED,
        source=section.choice("source", DEADLINE_SOURCES),
        es=section.translation("es"),
        en=section.translation("en"),
    )
    section.done()
    return reason


def _escalation(entry: Section, key: str, roles: Mapping[str, Text]) -> EscalationSpec:
    spec = EscalationSpec(
        type=known_code(key, entry.path, EscalationType),
        source=entry.choice("source", SOURCES),
        roles=entry.texts("roles"),
        channels=entry.texts("channels"),
        ladder=entry.texts("ladder"),
    )
    entry.done()
    for role in spec.ladder:
        if role not in roles:
            fail(entry.at("ladder"), f"{role!r} is unknown (known: {', '.join(roles)})")
    return spec


def _priority(entry: Section, names: Names) -> PrioritySpec:
    when = entry.section("when")
    if when.empty:
        fail(when.path, "must name a condition (or always: true)")
    factors = when.texts("factors") if when.has("factors") else ()
    for factor in factors:
        if factor not in names.factors:
            fail(when.at("factors"), f"{factor!r} is unknown (known: {', '.join(names.factors)})")
        if not names.factors[factor].monotone:
            fail(when.at("factors"), f"a worse value leaves the factor {factor}")
    spec = PrioritySpec(
        id=entry.code("id", ReviewPriority),
        source=entry.choice("source", DEADLINE_SOURCES),
        first_response_s=entry.seconds("first_response"),
        reescalate_every_s=entry.seconds("reescalate_every"),
        resolve_within_s=entry.seconds("resolve_within"),
        escalations=frozenset(when.codes("escalation", EscalationType)) if when.has("escalation") else frozenset(),
        severity_at_least=when.code("severity_at_least", Severity) if when.has("severity_at_least") else None,
        confidence_below=when.probability("confidence_below") if when.has("confidence_below") else None,
        classes=frozenset(when.codes("class", StageClass)) if when.has("class") else frozenset(),
        factors=frozenset(factors),
        problems=frozenset(when.codes("problem", Problem)) if when.has("problem") else frozenset(),
        always=when.flag("always"),
    )
    when.done()
    entry.done()
    return spec
