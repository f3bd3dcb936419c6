"""Reads the factors and rules of a policy file, each checked on its own.

That no rule relaxes another is checked over all of them together, in safety.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.events import EscalationType, ProtocolReference, Reason, Severity, StageClass, Text
from streams.clinical.policy.facts import FACTS, FactKind
from streams.clinical.policy.fields import Section, fail, known_code
from streams.clinical.policy.values import (
    DEADLINE_SOURCES,
    SOURCES,
    Condition,
    Effects,
    Factor,
    Problem,
    Rule,
    Term,
)
from streams.clinical.policy.words import words

_ID = re.compile(r"[a-z][a-z0-9_]{0,79}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What rules may refer to; `used` collects the texts they did refer to, so that a stray one is found."""

    texts: Mapping[str, Text]
    factors: Mapping[str, Factor]
    protocols: Mapping[str, ProtocolReference]
    used: set[str]


def read_id(text: str, path: str) -> str:
    """`text`, if it may name something in a policy."""
    if _ID.fullmatch(text) is None:
        fail(path, "an id is lower-case letters, digits and underscores, beginning with a letter")
    return text


def read_drugs(root: Section) -> Mapping[str, frozenset[tuple[str, ...]]]:
    """The classes of drugs, each a set of names as normalised words."""
    classes = root.section("drugs")
    found = {}
    for name in classes.names():
        drugs = frozenset(words(drug) for drug in classes.texts(name))
        if () in drugs:
            fail(classes.at(name), "holds a name without letters")
        found[read_id(name, classes.at(name))] = drugs
    return found


def read_factors(root: Section) -> Mapping[str, Factor]:
    """The factors, by id."""
    drugs = read_drugs(root)
    section = root.section("factors")
    factors = {}
    for name in section.names():
        read_id(name, section.at(name))
        terms, monotone = [], True
        for entry in section.items(name):
            term, one_sided = _term(entry, drugs)
            terms.append(term)
            monotone = monotone and one_sided
        factors[name] = Factor(id=name, terms=tuple(terms), monotone=monotone)
    return factors


def _term(entry: Section, drugs: Mapping[str, frozenset[tuple[str, ...]]]) -> tuple[Term, bool]:
    """The term, and whether a worse value can never leave it."""
    field = entry.choice("field", tuple(FACTS))
    spec = FACTS[field]
    if spec.kind is FactKind.CODE:
        codes = entry.texts("any_of")
        for code in codes:
            if code not in spec.codes:
                fail(entry.at("any_of"), f"{code!r} is unknown (known: {', '.join(spec.codes)})")
        entry.done()
        return Term(field=field, any_of=frozenset(codes)), True
    if spec.kind is FactKind.DRUGS:
        names = drugs[entry.choice("drugs", tuple(drugs))]
        entry.done()
        return Term(field=field, drugs=names), True
    if spec.kind is FactKind.FLAG:
        entry.done()
        return Term(field=field), spec.monotone
    bounds = {key: entry.number(key) for key in ("from", "at_least", "at_most", "below") if entry.has(key)}
    entry.done()
    if not bounds or {"from", "at_least"} <= bounds.keys() or {"at_most", "below"} <= bounds.keys():
        fail(entry.path, "needs a bound: at_most or below, at_least or from")
    low, high = bounds.get("from", bounds.get("at_least")), bounds.get("at_most", bounds.get("below"))
    if low is not None and high is not None and low > high:
        fail(entry.path, "has its bounds the wrong way round")
    one_sided = (low is None) if spec.kind is FactKind.LOW_IS_WORSE else (high is None)
    return Term(field=field, at_least=low, at_most=bounds.get("at_most"), below=bounds.get("below")), one_sided


def read_rules(root: Section, names: Names) -> tuple[Rule, ...]:
    """The rules, in order; ids are unique."""
    rules: dict[str, Rule] = {}
    for entry in root.items("rules"):
        rule = _rule(entry, names)
        if rule.id in rules:
            fail(entry.path, "this id is used twice")
        rules[rule.id] = rule
    return tuple(rules.values())


def _rule(entry: Section, names: Names) -> Rule:
    rule_id = read_id(entry.text("id"), entry.at("id"))
    source = entry.choice("source", SOURCES)
    reason = Reason(
        code=rule_id, rule_id=rule_id, source=source, es=entry.translation("es"), en=entry.translation("en")
    )
    staging = entry.flag("staging")
    when = _condition(entry.section("when"), names)
    then = _effects(entry.section("then"), names)
    entry.done()
    deadline = then.respond_within_s or then.case_within_s or then.follow_up_s
    if deadline is not None and source not in DEADLINE_SOURCES:
        fail(entry.at("source"), f"{source} sets no deadlines: a rule with one is {' or '.join(DEADLINE_SOURCES)}")
    for factor in sorted(when.factors):
        if not names.factors[factor].monotone and not then.informs_only:
            fail(entry.at("when.factors"), f"a worse value leaves the factor {factor}: such a rule may only inform")
    if when.contraindications_at_least and then.contraindicate:
        fail(entry.at("then.contraindicate"), "a rule that counts contraindications cannot add one")
    return Rule(reason=reason, staging=staging, when=when, then=then)


def _condition(when: Section, names: Names) -> Condition:
    if when.has("always"):
        if not when.flag("always"):
            fail(when.at("always"), "must be true, or left out")
        when.done()
        return Condition()
    if when.empty:
        fail(when.path, "must name a condition (or always: true)")
    factors = when.texts("factors") if when.has("factors") else ()
    for factor in factors:
        if factor not in names.factors:
            fail(when.at("factors"), f"{factor!r} is unknown (known: {', '.join(names.factors)})")
    condition = Condition(
        classes=frozenset(when.codes("class", StageClass)) if when.has("class") else frozenset(),
        confidence_from=when.probability("confidence_from") if when.has("confidence_from") else None,
        confidence_below=when.probability("confidence_below") if when.has("confidence_below") else None,
        factors=frozenset(factors),
        problems=frozenset(when.codes("problem", Problem)) if when.has("problem") else frozenset(),
        ambiguous=when.flag("ambiguous"),
        contraindications_at_least=_count(when, "contraindications_at_least"),
    )
    when.done()
    if condition.confidence_from is not None:
        if condition.confidence_below is None:
            fail(when.at("confidence_from"), "needs confidence_below: a rule must not match only what is more certain")
        if condition.confidence_from >= condition.confidence_below:
            fail(when.at("confidence_from"), "must be less than confidence_below")
    return condition


def _count(when: Section, key: str) -> int:
    if not when.has(key):
        return 0
    value = when.number(key)
    if value < 1 or value != int(value):
        fail(when.at(key), "must be a whole number of 1 or more")
    return int(value)


def _effects(then: Section, names: Names) -> Effects:
    if then.empty:
        fail(then.path, "must do something")

    def texts(key: str) -> tuple[Text, ...]:
        codes = then.texts(key) if then.has(key) else ()
        for code in codes:
            if code not in names.texts:
                fail(then.at(key), f"{code!r} is no text of this policy")
        names.used.update(codes)
        return tuple(names.texts[code] for code in codes)

    protocols = then.texts("protocols") if then.has("protocols") else ()
    for protocol in protocols:
        if protocol not in names.protocols:
            fail(then.at("protocols"), f"{protocol!r} is unknown (known: {', '.join(names.protocols)})")
    effects = Effects(
        severity=known_code(then.text("severity"), then.at("severity"), Severity) if then.has("severity") else None,
        escalate=then.codes("escalate", EscalationType) if then.has("escalate") else (),
        respond_within_s=then.seconds("respond_within") if then.has("respond_within") else None,
        case_within_s=then.seconds("case_within") if then.has("case_within") else None,
        follow_up_s=then.seconds("follow_up") if then.has("follow_up") else None,
        recommend=texts("recommend"),
        warn=texts("warn"),
        contraindicate=texts("contraindicate"),
        notify=texts("notify"),
        protocols=tuple(names.protocols[protocol] for protocol in protocols),
    )
    then.done()
    if effects.respond_within_s is not None and not effects.escalate:
        fail(then.at("respond_within"), "needs escalate; case_within is the deadline of the whole case")
    return effects
