"""A context is read strictly: nothing is guessed, and what is wrong is named without showing what it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import AnatomicalLocation, InfectionSign, PatientContext
from streams.clinical.context import FIELDS, LOCATION_ALIASES, ContextError, read_context
from streams.clinical.policy.words import contains_any, words

SUBSCORES = {"sensory": 2, "moisture": 2, "activity": 2, "mobility": 2, "nutrition": 2, "friction": 2}


def test_every_field_of_the_policy_is_read() -> None:
    assert read_context(
        {
            "age": 80,
            "diabetes": True,
            "anticoagulants": False,
            "medications": ["warfarina 5 mg"],
            "immunosuppression": False,
            "malnutrition": True,
            "albumin_g_dl": 2.9,
            "compromised_circulation": True,
            "infection_signs": ["fever", "odour"],
            "necrosis": False,
            "braden_score": 12,
            "braden_subscores": SUBSCORES,
            "risk_score": 12,
            "mobility": " limitada ",
            "anatomical_location": "heel",
            "mucosal": False,
            "skin_tone_monk": 8,
            "fitzpatrick": 5,
            "public_healthcare": True,
        }
    ) == PatientContext(
        age=80,
        diabetes=True,
        anticoagulants=False,
        medications=("warfarina 5 mg",),
        immunosuppression=False,
        malnutrition=True,
        albumin_g_dl=2.9,
        compromised_circulation=True,
        infection_signs=(InfectionSign.FEVER, InfectionSign.ODOUR),
        necrosis=False,
        braden_score=12,
        braden_subscores=read_context({"braden_subscores": SUBSCORES}).braden_subscores,
        risk_score=12,
        mobility="limitada",
        anatomical_location=AnatomicalLocation.HEEL,
        mucosal=False,
        skin_tone_monk=8,
        fitzpatrick=5,
        public_healthcare=True,
    )


def test_absent_and_null_are_unknown_and_not_false() -> None:
    assert read_context(None) == read_context({}) == read_context(dict.fromkeys(FIELDS)) == PatientContext()


@pytest.mark.parametrize(
    ("name", "place"),
    [(alias, place) for place, names in LOCATION_ALIASES.items() for alias in (*names, place.value)]
    + [
        ("TALÓN", AnatomicalLocation.HEEL),
        ("talon", AnatomicalLocation.HEEL),
        (" Omoplato ", AnatomicalLocation.SCAPULA),
    ],
)
def test_places_have_spanish_names(name: str, place: AnatomicalLocation) -> None:
    assert read_context({"anatomical_location": name}).anatomical_location is place


@pytest.mark.parametrize("place", AnatomicalLocation)
def test_every_place_has_a_spanish_name(place: AnatomicalLocation) -> None:
    assert LOCATION_ALIASES[place]


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("celulitis", InfectionSign.CELLULITIS),
        ("Fiebre", InfectionSign.FEVER),
        ("exudado purulento", InfectionSign.PURULENT_EXUDATE),
        ("mal olor", InfectionSign.ODOUR),
    ],
)
def test_signs_have_spanish_names(name: str, sign: InfectionSign) -> None:
    assert read_context({"infection_signs": [name]}).infection_signs == (sign,)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("weight", 70, "context has a field that is not known"),
        ("elpo", 20, "context has a field that is not known"),
        ("age", -1, "context.age must lie in 0 to 120"),
        ("age", 121, "context.age must lie in 0 to 120"),
        ("age", 80.5, "context.age must be a whole number"),
        ("age", True, "context.age must be a whole number"),
        ("age", "80", "context.age must be a whole number"),
        ("diabetes", "yes", "context.diabetes must be true or false"),
        ("diabetes", 1, "context.diabetes must be true or false"),
        ("albumin_g_dl", float("nan"), "context.albumin_g_dl must lie in 0.0 to 10.0"),
        ("albumin_g_dl", 35, "context.albumin_g_dl must lie in 0.0 to 10.0"),
        ("braden_score", 5, "context.braden_score must lie in 6 to 23"),
        ("braden_score", 24, "context.braden_score must lie in 6 to 23"),
        ("risk_score", 5, "context.risk_score must lie in 6 to 23"),
        ("braden_subscores", {**SUBSCORES, "friction": 4}, "context.braden_subscores.friction must lie in 1 to 3"),
        ("braden_subscores", {**SUBSCORES, "sensory": 0}, "context.braden_subscores.sensory must lie in 1 to 4"),
        ("braden_subscores", {**SUBSCORES, "pain": 1}, "context.braden_subscores has a field that is not known"),
        ("braden_subscores", {"sensory": 1}, "context.braden_subscores.moisture is missing"),
        ("braden_subscores", 12, "context.braden_subscores must be an object"),
        ("skin_tone_monk", 0, "context.skin_tone_monk must lie in 1 to 10"),
        ("skin_tone_monk", 11, "context.skin_tone_monk must lie in 1 to 10"),
        ("fitzpatrick", 7, "context.fitzpatrick must lie in 1 to 6"),
        ("anatomical_location", "forehead", "context.anatomical_location is not known"),
        ("anatomical_location", 3, "context.anatomical_location is not known"),
        ("infection_signs", ["pus"], "context.infection_signs is not known"),
        ("infection_signs", "fever", "context.infection_signs must be a list"),
        ("medications", "warfarin", "context.medications must be a list"),
        ("medications", [""], "context.medications must be a list"),
        ("medications", ["x" * 201], "context.medications must not be empty, nor longer than 200"),
        ("mobility", "", "context.mobility must not be empty"),
        ("mobility", 3, "context.mobility must be text"),
    ],
)
def test_what_cannot_be_is_an_error_that_names_the_field(field: str, value: object, message: str) -> None:
    with pytest.raises(ContextError) as raised:
        read_context({field: value})
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_an_error_never_shows_the_value() -> None:
    for field in ("age", "anatomical_location", "mobility", "infection_signs", "medications"):
        with pytest.raises(ContextError) as raised:
            read_context({field: {"María Pérez": 1}})
        assert "María" not in str(raised.value)


def test_words_are_compared_without_case_accents_and_punctuation() -> None:
    assert words("  Ácido ACETIL-salicílico, 100mg ") == ("acido", "acetil", "salicilico", "100mg")
    assert words("…") == ()


def test_a_name_is_found_only_as_whole_words_in_a_row() -> None:
    assert contains_any(words("tab. ácido acetilsalicílico 100 mg"), frozenset({words("Acido Acetilsalicilico")}))
    assert not contains_any(words("warfarinoide"), frozenset({words("warfarina")}))
    assert not contains_any(words("ácido fólico y acetilsalicílico"), frozenset({words("ácido acetilsalicílico")}))
    assert not contains_any(words("warfarina"), frozenset({()}))


@given(st.text(min_size=1).filter(lambda name: name not in FIELDS))
def test_an_error_shows_nothing_of_what_stands_where_a_name_should(name: str) -> None:
    secret = f"Juan Pérez {name}"
    with pytest.raises(ContextError) as raised:
        read_context({"age": 70, secret: "12.345.678-9"})
    assert "Juan" not in str(raised.value)
    assert "number 2 of 2" in str(raised.value)


@given(
    sentence=st.lists(st.sampled_from("abc"), max_size=6).map(tuple),
    names=st.frozensets(st.lists(st.sampled_from("abc"), max_size=3).map(tuple), max_size=5),
)
def test_a_name_is_found_wherever_its_words_stand_together(
    sentence: tuple[str, ...], names: frozenset[tuple[str, ...]]
) -> None:
    text = f" {' '.join(sentence)} "
    assert contains_any(sentence, names) == any(name and f" {' '.join(name)} " in text for name in names)
