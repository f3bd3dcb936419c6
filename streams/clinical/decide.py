"""From findings and context to a decision: every rule that matches applies, and nothing a rule gave is taken away.

Pure and deterministic: the same input and policy give the same decision, to the byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas.events import (
    EscalationRequest,
    EscalationType,
    Lane,
    ModelStatus,
    PatientContext,
    Severity,
    StageClass,
    Text,
)
from streams.clinical.decision import Decision
from streams.clinical.lesions import FindingLike, Lesion, read_lesion
from streams.clinical.policy import Policy, Problem
from streams.clinical.policy.facts import factors_of, facts_of
from streams.clinical.policy.values import Condition, PrioritySpec, Rule

#: What a model that gives no class says about the case.
_STATUS_PROBLEM = {
    ModelStatus.ABSTAINED: Problem.ABSTAINED,
    ModelStatus.FAILED: Problem.MODEL_FAILED,
    ModelStatus.UNAVAILABLE: Problem.MODEL_UNAVAILABLE,
    ModelStatus.UNKNOWN: Problem.MODEL_FAILED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A lesion and the factors of its context: what conditions are tested on."""

    lesion: Lesion
    factors: frozenset[str]


def decide(
    policy: Policy,
    findings: Sequence[FindingLike],
    context: PatientContext,
    *,
    model_status: ModelStatus = ModelStatus.JUDGED,
    lane: Lane = Lane.ROUTINE,
    has_patient_token: bool = True,
) -> Decision:
    """The decision on one case; every input has one.

    A model that did not judge gives no class, whatever `findings` holds. `lane` says whether the producer flagged an
    emergency; `has_patient_token`, whether the case carries a valid patient token.
    """
    return decide_lesions(
        policy,
        [(finding, context) for finding in findings],
        context,
        model_status=model_status,
        lane=lane,
        has_patient_token=has_patient_token,
    )


def decide_lesions(
    policy: Policy,
    lesions: Sequence[tuple[FindingLike, PatientContext]],
    context: PatientContext,
    *,
    model_status: ModelStatus = ModelStatus.JUDGED,
    lane: Lane = Lane.ROUTINE,
    has_patient_token: bool = True,
) -> Decision:
    """As `decide`, for lesions each with a context of its own (its location, say).

    `context` counts where there is no lesion to decide on.
    """
    flagged = lane is Lane.EMERGENCY
    problem = _STATUS_PROBLEM.get(model_status)
    if problem is None and not lesions:
        problem = Problem.NO_FINDING
    if problem is not None:
        return decide_problem(policy, problem, context, lane=lane, has_patient_token=has_patient_token)
    seen = [
        _Seen(
            lesion=read_lesion(finding, policy.ambiguous_within),
            factors=_factors(policy, its_context, flagged, has_patient_token),
        )
        for finding, its_context in lesions
    ]
    return _combine(policy, seen)


def decide_problem(
    policy: Policy,
    problem: Problem,
    context: PatientContext,
    *,
    lane: Lane = Lane.ROUTINE,
    has_patient_token: bool = True,
) -> Decision:
    """The decision on a case that nobody judged: the model failed, the picture is missing, the event is impossible."""
    lesion = Lesion(
        stage=None,
        confidence=None,
        classes=frozenset(),
        certainty=None,
        ambiguous=False,
        problems=frozenset({problem}),
    )
    factors = _factors(policy, context, lane is Lane.EMERGENCY, has_patient_token)
    return _combine(policy, [_Seen(lesion=lesion, factors=factors)])


def _factors(policy: Policy, context: PatientContext, flagged: bool, has_patient_token: bool) -> frozenset[str]:
    facts = facts_of(context, flagged_emergency=flagged, has_patient_token=has_patient_token)
    return factors_of(policy.factors.values(), facts)


def _combine(policy: Policy, seen: Sequence[_Seen]) -> Decision:
    """Joins what the matching rules add: the worst severity, the shortest deadlines, the union of everything else."""
    # A mucosal lesion is not staged: a rule that speaks of its class acts, but says nothing.
    staged = [one for one in seen if policy.mucosal_factor not in one.factors]
    matched = _matching(policy.rules, seen)
    matched = _count_contraindications(matched)
    unsaid = (
        set()
        if len(staged) == len(seen)
        else {r.id for r in matched if r.staging} - {r.id for r in _matching(matched, staged)}
    )
    spoken = [rule for rule in matched if rule.id not in unsaid]
    said = frozenset(rule.id for rule in spoken)
    severity = max((r.then.severity for r in matched if r.then.severity), key=policy.severity_rank.__getitem__)
    asked = {kind: [r for r in matched if kind in r.then.escalate] for kind in policy.escalations}
    priority = _priority(policy, seen, severity, frozenset(kind for kind, rules in asked.items() if rules))
    case_within = _shortest(r.then.case_within_s for r in matched)
    escalations = tuple(
        _request(policy, kind, rules, priority, case_within, said) for kind, rules in asked.items() if rules
    )
    governing = max(seen, key=lambda one: _gravity(policy, one))
    mucosal = policy.mucosal_factor in governing.factors
    return Decision(
        severity=severity,
        severity_label=policy.severities[severity],
        stage=None if mucosal else governing.lesion.stage,
        confidence=governing.lesion.confidence,
        mucosal=mucosal or None,
        review_priority=priority.id,
        reasons=tuple(rule.reason for rule in spoken),
        recommendations=_texts(rule.then.recommend for rule in spoken),
        warnings=_texts(rule.then.warn for rule in spoken),
        contraindications=_texts(rule.then.contraindicate for rule in matched),
        notifications=_texts(rule.then.notify for rule in matched),
        escalations=escalations,
        respond_within_s=_shortest([case_within, *(request.respond_within_s for request in escalations)]),
        follow_up_s=_shortest(rule.then.follow_up_s for rule in matched),
        protocols=tuple(dict.fromkeys(protocol for rule in spoken for protocol in rule.then.protocols)),
        policy_id=policy.id,
        policy_version=policy.version,
        policy_hash=policy.hash,
        disclaimer=policy.disclaimer,
    )


def _matching(rules: Iterable[Rule], seen: Sequence[_Seen]) -> list[Rule]:
    """The rules of which the condition holds for some lesion."""
    matching = []
    for rule in rules:
        for one in seen:
            if _matches(rule.when, one):
                matching.append(rule)
                break
    return matching


def _matches(when: Condition, one: _Seen) -> bool:
    """Whether every part of the condition holds for this lesion; counting contraindications comes later."""
    lesion = one.lesion
    if when.classes and when.classes.isdisjoint(lesion.classes):
        return False
    if when.confidence_from is not None or when.confidence_below is not None:
        certainty = lesion.certainty
        if certainty is None or not (when.confidence_from or 0.0) <= certainty < (when.confidence_below or 2.0):
            return False
    return (
        (not when.factors or not when.factors.isdisjoint(one.factors))
        and (not when.problems or not when.problems.isdisjoint(lesion.problems))
        and (lesion.ambiguous or not when.ambiguous)
    )


def _count_contraindications(matched: Sequence[Rule]) -> list[Rule]:
    count = len(_texts(rule.then.contraindicate for rule in matched))
    return [rule for rule in matched if rule.when.contraindications_at_least <= count]


def _priority(
    policy: Policy, seen: Sequence[_Seen], severity: Severity, escalations: frozenset[EscalationType]
) -> PrioritySpec:
    """The first review priority of the policy that matches; the last one always does."""
    rank = policy.severity_rank
    classes = frozenset[StageClass]().union(*(one.lesion.classes for one in seen))
    factors = frozenset[str]().union(*(one.factors for one in seen))
    problems = frozenset[Problem]().union(*(one.lesion.problems for one in seen))
    certainty = min((one.lesion.certainty for one in seen if one.lesion.certainty is not None), default=1.0)
    return next(
        spec
        for spec in policy.priorities
        if spec.always
        or not spec.escalations.isdisjoint(escalations)
        or (spec.severity_at_least is not None and rank[severity] >= rank[spec.severity_at_least])
        or (spec.confidence_below is not None and certainty < spec.confidence_below)
        or not spec.classes.isdisjoint(classes)
        or not spec.factors.isdisjoint(factors)
        or not spec.problems.isdisjoint(problems)
    )


def _request(
    policy: Policy,
    kind: EscalationType,
    rules: Sequence[Rule],
    priority: PrioritySpec,
    case_within: int | None,
    said: frozenset[str],
) -> EscalationRequest:
    within = _shortest([priority.first_response_s, case_within, *(rule.then.respond_within_s for rule in rules)])
    assert within is not None
    # What was left unsaid of a mucosal lesion is said by the rule that stands in for it.
    codes = dict.fromkeys(rule.id if rule.id in said else policy.mucosal_reason for rule in rules)
    spec = policy.escalations[kind]
    return EscalationRequest(
        type=kind,
        roles=spec.roles,
        channels=spec.channels,
        review_priority=priority.id,
        respond_within_s=within,
        reescalate_every_s=priority.reescalate_every_s,
        resolve_within_s=priority.resolve_within_s,
        reasons=tuple(codes),
    )


def _gravity(policy: Policy, one: _Seen) -> tuple[int, float]:
    """Worst class first, then the least certain; a lesion without a class counts below every class."""
    worst = max((policy.class_rank[stage] for stage in one.lesion.classes), default=-1)
    return worst, -(1.0 if one.lesion.certainty is None else one.lesion.certainty)


def _texts(groups: Iterable[tuple[Text, ...]]) -> tuple[Text, ...]:
    return tuple({text.code: text for group in groups for text in group}.values())


def _shortest(deadlines: Iterable[int | None]) -> int | None:
    return min((deadline for deadline in deadlines if deadline is not None), default=None)
