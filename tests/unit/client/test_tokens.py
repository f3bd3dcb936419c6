"""A token tells nothing of the code, and no wrong code gets one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.client.tokens import PatientCodeError, Tokeniser, TokenKeyMissingError, is_token
from streams.settings import Settings

KEY = bytes(range(32))
CODES = st.from_regex(r"[A-Z]{2,12}-[0-9]{4}-[0-9]{3}", fullmatch=True)


def settings(**changed: object) -> Settings:
    values: dict[str, object] = {
        "bootstrap_servers": "nowhere:1",
        "schema_registry_url": "http://nowhere",
        "image_store": "memory://x",
        "image_roots": ("memory://x",),
    }
    return Settings(**(values | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["CD-2025-001", "PAT-2025-001", "EMERGENCY-2025-001"])
def test_the_predecessors_codes_get_a_token(code: str) -> None:
    token = Tokeniser(KEY).token(code)
    assert is_token(token)
    assert code not in token


def test_the_token_of_a_known_key_and_code_never_changes() -> None:
    assert Tokeniser(KEY).token("CD-2025-001") == (
        "vpt1-faab5bc9-1b4365cfd7a0d32f523e7caea0efc1135f2cba0f4808b2f11592e43af08bede9"
    )


@pytest.mark.parametrize(
    "code",
    [
        "C-2025-001",
        "CD-25-001",
        "CD-2025-1",
        "CD-2025-001\n",
        "\nCD-2025-001",
        " CD-2025-001",
        "cd-2025-001",
        "CD-2025-0011",
        "CD-２０２５-００１",
        "CD-2025-001\x00",
        "",
        "ABCDEFGHIJKLM-2025-001",
    ],
)
def test_a_wrong_code_is_refused_without_being_told(code: str) -> None:
    with pytest.raises(PatientCodeError) as caught:
        Tokeniser(KEY).token(code)
    text = str(caught.value)
    assert "VIGIA_PATIENT_CODE_PATTERN" in text
    assert not code.strip() or code.strip() not in text


@given(code=st.text(max_size=30))
def test_only_codes_that_match_in_full_get_a_token(code: str) -> None:
    if re.fullmatch(r"[A-Z]{2,12}-[0-9]{4}-[0-9]{3}", code):
        assert is_token(Tokeniser(KEY).token(code))
    else:
        with pytest.raises(PatientCodeError):
            Tokeniser(KEY).token(code)


@given(one=CODES, other=CODES)
def test_the_same_patient_has_the_same_token_and_another_another(one: str, other: str) -> None:
    tokens = Tokeniser(KEY)
    assert (tokens.token(one) == tokens.token(other)) == (one == other)


def test_another_key_gives_another_token_and_says_so_in_its_id() -> None:
    old, new = (Tokeniser(key).token("CD-2025-001").split("-") for key in (KEY, bytes(32)))
    assert old[0] == new[0] == "vpt1"
    assert old[1] != new[1]
    assert old[2] != new[2]


def test_a_hospital_may_have_another_pattern_with_its_own_letters() -> None:
    tokens = Tokeniser(KEY, r"ÑU-\d+")
    assert is_token(tokens.token("ÑU-7"))
    # N and a combining tilde, as some keyboards send it, is the same code.
    assert tokens.token("N\u0303U-7") == tokens.token("ÑU-7")


def test_without_a_key_there_is_one_clear_error() -> None:
    with pytest.raises(TokenKeyMissingError, match=r"^no token key: make one with .* VIGIA_TOKEN_KEY_FILE=FILE$"):
        Tokeniser.from_settings(settings())


def test_key_and_pattern_come_from_the_settings() -> None:
    tokens = Tokeniser.from_settings(settings(token_key=KEY, patient_code_pattern=r"P\d"))
    assert tokens.token("P1") == Tokeniser(KEY, r"P\d").token("P1")


@pytest.mark.parametrize(
    "text", [None, "", "CD-2025-001", "vpt1-00000000-" + "0" * 63, "vpt1-00000000-" + "0" * 64 + "\n"]
)
def test_what_is_no_token_is_told_apart(text: str | None) -> None:
    assert not is_token(text)
