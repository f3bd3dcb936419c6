"""What every policy must keep, whatever a hospital changes in it: a worse case is never answered more mildly.

Effects only add up, and conditions on risk factors can only begin to hold, so a risk factor cannot make a decision
milder. What is left to check is that a rule which stops matching, because the class got worse or the confidence lower,
is made up for by the rules that match there. That is a finite check: between two thresholds nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import pairwise

from schemas.events import EscalationType, ReviewPriority, Severity, StageClass
from streams.clinical.policy.fields import fail
from streams.clinical.policy.values import Condition, Effects, Policy, Problem, Rule

_STAGES = (StageClass.NONE, StageClass.STAGE_1, StageClass.STAGE_2, StageClass.STAGE_3, StageClass.STAGE_4)
_SEVERITIES = (
    Severity.ROUTINE_PREVENTION,
    Severity.ATTENTION,
    Severity.IMPORTANT,
    Severity.URGENT,
    Severity.EMERGENCY,
)


_TIMES = ("first_response_s", "reescalate_every_s", "resolve_within_s")


def check_policy(policy: Policy) -> None:
    """Raise PolicyError, naming the rule, where the policy leaves something unanswered or relaxes something."""
    _complete("severities", policy.severities, Severity)
    _complete("classes", policy.classes, StageClass)
    _complete("escalations", policy.escalations, EscalationType)
    _ordered("severities", list(policy.severities), _SEVERITIES, ends=True)
    _ordered("classes", list(policy.classes), _STAGES, ends=False)
    _priorities(policy)
    _floors(policy)
    for rule in policy.rules:
        _never_relaxed(policy, rule)


def _complete(path: str, given: Iterable[object], codes: type[StrEnum]) -> None:
    for code in codes:
        if code.value != "unknown" and code not in given:
            fail(f"{path}.{code.value}", "is missing")


def _ordered(path: str, given: Sequence[object], order: Sequence[object], *, ends: bool) -> None:
    """`order` must be kept among `given`, begin it, and, where `ends`, end it too."""
    ranks = [given.index(code) for code in order]
    if ranks != sorted(ranks) or ranks[0] != 0 or (ends and ranks[-1] != len(given) - 1):
        fail(path, f"must be listed mildest first, with {', '.join(str(code) for code in order)} in this order")


def _priorities(policy: Policy) -> None:
    path = "review_priorities"
    specs = policy.priorities
    if [spec.id for spec in specs] != [priority for priority in ReviewPriority if priority.value != "unknown"]:
        fail(path, "must be emergency, urgent, high, medium and low, in this order")
    for spec in specs:
        if spec.always != (spec is specs[-1]):
            fail(f"{path}[{spec.id.value}].when", "only the last one, and always the last one, is always: true")
    for earlier, later in pairwise(specs):
        if any(getattr(later, time) < getattr(earlier, time) for time in _TIMES):
            fail(f"{path}[{later.id.value}]", f"is quicker than {earlier.id.value}, which stands above it")
    covered: set[StageClass] = set()
    for spec in specs:
        covered |= spec.classes
        mildest = min((policy.class_rank[stage] for stage in spec.classes), default=len(policy.classes))
        for stage in list(policy.classes)[mildest:]:
            if stage not in covered:
                fail(f"{path}[{spec.id.value}].when.class", f"leaves out {stage.value}, which is worse")


def _floors(policy: Policy) -> None:
    for stage in policy.classes:
        if not any(
            rule.then.severity and rule.when == Condition(classes=rule.when.classes) and stage in rule.when.classes
            for rule in policy.rules
        ):
            fail("rules", f"no rule gives class {stage.value} a severity for every confidence and context")
    for problem in Problem:
        answers = [
            rule.then
            for rule in policy.rules
            if rule.when == Condition(problems=rule.when.problems) and problem in rule.when.problems
        ]
        if not any(EscalationType.HUMAN_REVIEW in then.escalate for then in answers):
            fail("rules", f"no rule answers the problem {problem.value} with a human_review")
        if not any(then.severity and policy.severity_rank[then.severity] > 0 for then in answers):
            fail("rules", f"no rule gives the problem {problem.value} a severity above routine_prevention")


def _never_relaxed(policy: Policy, rule: Rule) -> None:
    """Wherever the case is worse and `rule` no longer matches, other rules that then match must give as much."""
    if rule.then.informs_only or not (rule.when.classes or rule.when.confidence_from is not None):
        return
    confidences = _confidences(policy)
    matched = [
        (stage, level)
        for stage in policy.classes
        for level, confidence in enumerate(confidences)
        if _matches(rule.when, stage, confidence)
    ]
    for stage in policy.classes:
        for level, confidence in enumerate(confidences):
            if _matches(rule.when, stage, confidence) or not any(
                level <= other and policy.class_rank[stage] >= policy.class_rank[milder] for milder, other in matched
            ):
                continue
            instead = [
                other.then
                for other in policy.rules
                if _matches(other.when, stage, confidence) and _implied(other.when, by=rule.when)
            ]
            lost = _lost(policy, rule.then, instead)
            if lost:
                fail(
                    f"rules[{rule.id}]",
                    f"{lost} would be lost at class {stage.value} with confidence {confidence:.3g}, which is worse",
                )


def _confidences(policy: Policy) -> list[float]:
    """One confidence in every band between two thresholds, lowest first."""
    conditions = [rule.when for rule in policy.rules]
    bounds = {bound for when in conditions for bound in (when.confidence_from, when.confidence_below) if bound}
    return [(low + high) / 2 for low, high in pairwise(sorted({0.0, 1.0} | bounds))]


def _matches(when: Condition, stage: StageClass, confidence: float) -> bool:
    return (
        (not when.classes or stage in when.classes)
        and (when.confidence_from is None or confidence >= when.confidence_from)
        and (when.confidence_below is None or confidence < when.confidence_below)
    )


def _implied(when: Condition, *, by: Condition) -> bool:
    """Whether `when` holds wherever `by` does, class and confidence apart."""
    return (
        (not when.factors or bool(by.factors and by.factors <= when.factors))
        and (not when.problems or bool(by.problems and by.problems <= when.problems))
        and (not when.ambiguous or by.ambiguous)
        and when.contraindications_at_least <= by.contraindications_at_least
    )


def _lost(policy: Policy, then: Effects, instead: Sequence[Effects]) -> str:
    """What `then` gives and `instead`, taken together, does not; empty when nothing is lost."""
    rank = policy.severity_rank
    if then.severity and not any(other.severity and rank[other.severity] >= rank[then.severity] for other in instead):
        return f"severity {then.severity.value}"
    case_within = min((other.case_within_s for other in instead if other.case_within_s), default=None)
    if then.case_within_s and (case_within is None or case_within > then.case_within_s):
        return "case_within"
    for kind in then.escalate:
        asked = [other for other in instead if kind in other.escalate]
        if not asked:
            return f"escalate {kind.value}"
        within = [other.respond_within_s for other in asked if other.respond_within_s]
        within += [case_within] if case_within else []
        if then.respond_within_s and min(within, default=then.respond_within_s + 1) > then.respond_within_s:
            return f"respond_within of {kind.value}"
    if then.follow_up_s and not any(other.follow_up_s and other.follow_up_s <= then.follow_up_s for other in instead):
        return "follow_up"
    return ""
