"""Reads a patient's context from a plain mapping, as it comes from a form, a bot or `vigia grade`.

Absent is unknown, not false. A value out of range is an error that names the field and never shows the value, since
that is patient data; a field that is not known is named by its number. Spanish names of places and signs are accepted;
what is not known is not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import TypeVar

from schemas.errors import InvalidEventError, OneLineError
from schemas.events import AnatomicalLocation, BradenSubscores, InfectionSign, PatientContext
from streams.clinical.policy.words import words

FIELDS: tuple[str, ...] = tuple(field.name for field in fields(PatientContext))
SUBSCORES: tuple[str, ...] = tuple(field.name for field in fields(BradenSubscores))

#: Spanish (and a few English) names, besides the symbols themselves; case and accents do not count.
LOCATION_ALIASES: Mapping[AnatomicalLocation, tuple[str, ...]] = MappingProxyType(
    {
        AnatomicalLocation.SACRUM: ("sacro", "región sacra", "zona sacra"),
        AnatomicalLocation.COCCYX: ("coxis", "cóccix", "región coccígea"),
        AnatomicalLocation.HEEL: ("talón", "calcáneo"),
        AnatomicalLocation.ANKLE: ("tobillo", "maléolo"),
        AnatomicalLocation.ELBOW: ("codo",),
        AnatomicalLocation.SHOULDER: ("hombro",),
        AnatomicalLocation.SCAPULA: ("escápula", "omóplato"),
        AnatomicalLocation.OCCIPUT: ("occipucio", "occipital", "región occipital"),
        AnatomicalLocation.TROCHANTER: ("trocánter", "región trocantérea"),
        AnatomicalLocation.ISCHIUM: ("isquion", "región isquiática"),
        AnatomicalLocation.KNEE: ("rodilla",),
        AnatomicalLocation.HIP: ("cadera",),
        AnatomicalLocation.OTHER: ("otro", "otra"),
        AnatomicalLocation.UNKNOWN: ("desconocido", "desconocida"),
    }
)
SIGN_ALIASES: Mapping[InfectionSign, tuple[str, ...]] = MappingProxyType(
    {
        InfectionSign.CELLULITIS: ("celulitis",),
        InfectionSign.FEVER: ("fiebre",),
        InfectionSign.PURULENT_EXUDATE: ("exudado purulento", "secreción purulenta"),
        InfectionSign.ODOUR: ("olor", "mal olor", "odor"),
    }
)

_Record = TypeVar("_Record", PatientContext, BradenSubscores)
_Code = TypeVar("_Code", AnatomicalLocation, InfectionSign)

_LOCATIONS = {
    words(name): place for place in AnatomicalLocation for name in (place.value, *LOCATION_ALIASES.get(place, ()))
}
_SIGNS = {words(name): sign for sign, names in SIGN_ALIASES.items() for name in (sign.value, *names)}


class ContextError(OneLineError, ValueError):
    """A context that cannot be true or is not understood; `field` is the path of the field, `problem` what is wrong."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")
        self.field = field
        self.problem = problem


def read_context(values: Mapping[str, object] | None) -> PatientContext:
    """The context that a plain mapping describes; None and null fields are unknown.

    Raises ContextError for a field that does not exist, cannot be understood or is out of range.
    """
    if values is None:
        return PatientContext()
    if not isinstance(values, Mapping):
        raise ContextError("context", "must be an object")
    read: dict[str, object] = {}
    _all_known("context", values, FIELDS)
    for name, value in values.items():
        if value is not None:
            read[name] = _value(name, value)
    return _checked(PatientContext, "context", read)


def _all_known(path: str, values: Mapping[str, object], known: tuple[str, ...]) -> None:
    for number, name in enumerate(values, start=1):
        if name not in known:
            # By number: what stands where a name should may be a patient's.
            problem = f"has a field that is not known, number {number} of {len(values)} (known: {', '.join(known)})"
            raise ContextError(path, problem)


def _value(name: str, value: object) -> object:
    """The value in the type that PatientContext checks: lists as tuples, names as codes."""
    path = f"context.{name}"
    match name:
        case "medications":
            return _list(path, value)
        case "infection_signs":
            return tuple(_named(path, sign, _SIGNS) for sign in _list(path, value))
        case "anatomical_location":
            return _named(path, value, _LOCATIONS)
        case "braden_subscores":
            return _subscores(path, value)
        case "mobility" if isinstance(value, str):
            return value.strip()
        case _:
            return value


def _list(path: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item.strip() for item in value):
        raise ContextError(path, "must be a list of texts that are not empty")
    return tuple(item.strip() for item in value)


def _named(path: str, value: object, names: Mapping[tuple[str, ...], _Code]) -> _Code:
    found = names.get(words(value)) if isinstance(value, str) else None
    if found is None:
        known = ", ".join(dict.fromkeys(code.value for code in names.values()))
        raise ContextError(path, f"is not known (known: {known}, and their Spanish names)")
    return found


def _subscores(path: str, value: object) -> BradenSubscores:
    if not isinstance(value, Mapping):
        raise ContextError(path, "must be an object")
    _all_known(path, value, SUBSCORES)
    for name in SUBSCORES:
        if value.get(name) is None:
            raise ContextError(f"{path}.{name}", "is missing (a Braden score needs all six)")
    return _checked(BradenSubscores, path, value)


def _checked(record: type[_Record], path: str, values: Mapping[str, object]) -> _Record:
    try:
        return record(**values)  # type: ignore[arg-type]  # the record checks each type itself
    except InvalidEventError as error:
        raise ContextError(f"{path}.{error.field}", error.problem) from None
