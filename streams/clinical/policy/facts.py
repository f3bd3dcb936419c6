"""What is known of a case, as plain facts that the factors of a policy are made of.

The Braden value is the worst of what was given: three fields can hold one, and a patient at risk must not lose that
risk because a second field says otherwise. That they disagree is a fact of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from schemas.events import AnatomicalLocation, InfectionSign, PatientContext
from streams.clinical.policy.values import Factor, Term
from streams.clinical.policy.words import contains_any, words


class FactKind(StrEnum):
    """What a fact can be asked: yes/no, a code, a medication name, or a number with its worse direction."""

    FLAG = "flag"
    CODE = "code"
    DRUGS = "drugs"
    LOW_IS_WORSE = "low_is_worse"
    HIGH_IS_WORSE = "high_is_worse"


@dataclass(frozen=True, slots=True, kw_only=True)
class FactSpec:
    """A fact that factors may name; `codes` for facts of kind CODE.

    `monotone` is False for a fact that a worse case may undo: rules on it may only inform.
    """

    kind: FactKind
    monotone: bool = True
    codes: tuple[str, ...] = ()


_FLAG = FactSpec(kind=FactKind.FLAG)

#: Every fact, by name: fields of the context, and what is derived from it or from how the case came.
FACTS: Mapping[str, FactSpec] = MappingProxyType(
    {
        "age": FactSpec(kind=FactKind.HIGH_IS_WORSE),
        "diabetes": _FLAG,
        "anticoagulants": _FLAG,
        "medications": FactSpec(kind=FactKind.DRUGS),
        "immunosuppression": _FLAG,
        "malnutrition": _FLAG,
        "albumin_g_dl": FactSpec(kind=FactKind.LOW_IS_WORSE),
        "compromised_circulation": _FLAG,
        "infection_signs": FactSpec(
            kind=FactKind.CODE, codes=tuple(sign.value for sign in InfectionSign if sign is not InfectionSign.UNKNOWN)
        ),
        "necrosis": _FLAG,
        "braden": FactSpec(kind=FactKind.LOW_IS_WORSE),
        "braden_disagreement": FactSpec(kind=FactKind.FLAG, monotone=False),
        "anatomical_location": FactSpec(kind=FactKind.CODE, codes=tuple(place.value for place in AnatomicalLocation)),
        "mucosal": _FLAG,
        "skin_tone_monk": FactSpec(kind=FactKind.HIGH_IS_WORSE),
        "fitzpatrick": FactSpec(kind=FactKind.HIGH_IS_WORSE),
        "public_healthcare": _FLAG,
        "flagged_emergency": _FLAG,
        "patient_token_missing": _FLAG,
    }
)


def braden_values(context: PatientContext) -> tuple[int, ...]:
    """Every Braden total that the context gives, in no order; empty when it gives none."""
    given = (
        context.braden_score,
        context.risk_score,
        None if context.braden_subscores is None else context.braden_subscores.total,
    )
    return tuple(value for value in given if value is not None)


def facts_of(context: PatientContext, *, flagged_emergency: bool, has_patient_token: bool) -> dict[str, object]:
    """The facts of a case, by name; None is unknown."""
    braden = braden_values(context)
    return {
        "age": context.age,
        "diabetes": context.diabetes,
        "anticoagulants": context.anticoagulants,
        "medications": context.medications,
        "immunosuppression": context.immunosuppression,
        "malnutrition": context.malnutrition,
        "albumin_g_dl": context.albumin_g_dl,
        "compromised_circulation": context.compromised_circulation,
        "infection_signs": context.infection_signs,
        "necrosis": context.necrosis,
        "braden": min(braden, default=None),
        "braden_disagreement": len(set(braden)) > 1,
        "anatomical_location": context.anatomical_location,
        "mucosal": context.mucosal,
        "skin_tone_monk": context.skin_tone_monk,
        "fitzpatrick": context.fitzpatrick,
        "public_healthcare": context.public_healthcare,
        "flagged_emergency": flagged_emergency,
        "patient_token_missing": not has_patient_token,
    }


def factors_of(factors: Iterable[Factor], facts: Mapping[str, object]) -> frozenset[str]:
    """The ids of the factors that hold; what is unknown makes none hold."""
    return frozenset(
        factor.id
        for factor in factors
        if any((value := facts[term.field]) is not None and _holds(term, value) for term in factor.terms)
    )


def _holds(term: Term, value: object) -> bool:
    if term.any_of:
        codes = value if isinstance(value, tuple) else (value,)
        return not term.any_of.isdisjoint(codes)
    if term.drugs:
        assert isinstance(value, tuple)
        return any(contains_any(words(name), term.drugs) for name in value)
    if term.bounded:
        assert isinstance(value, int | float)
        return (
            (term.at_least is None or value >= term.at_least)
            and (term.at_most is None or value <= term.at_most)
            and (term.below is None or value < term.below)
        )
    return value is True
