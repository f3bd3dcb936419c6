"""Tokens from a real provider (Authlib) on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from schemas.access.errors import TokenError
from schemas.access.secret import Secret
from schemas.access.token import Tokens
from tests.provider import Provider

SHOWN_NOWHERE = "S3CR3T"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider({"vigia": SHOWN_NOWHERE}) as running:
        yield running


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text(f"{SHOWN_NOWHERE}\n")
    return file


def test_a_token_is_kept_until_most_of_its_life_is_over(provider: Provider, secret: Path) -> None:
    now = 1_000_000.0
    tokens = Tokens(provider.token_url, "vigia", Secret("X_FILE", str(secret)), clock=lambda: now)
    first = tokens.token()
    claims = jwt.decode(first.value, KeySet.import_key_set(provider.keys), algorithms=["ES256"]).claims
    assert (claims["sub"], claims["aud"]) == ("vigia", "kafka")
    life = first.expires_at - now
    now += 0.7 * life
    assert tokens.token() is first
    now += 0.2 * life
    assert tokens.token().value != first.value


def test_a_rotated_secret_is_used_for_the_next_token(provider: Provider, secret: Path) -> None:
    now = 1_000_000.0
    tokens = Tokens(provider.token_url, "vigia", Secret("X_FILE", str(secret)), clock=lambda: now)
    now = tokens.token().expires_at
    provider.clients["vigia"] = "new"
    with pytest.raises(TokenError, match="wrong credentials"):
        tokens.token()
    secret.write_text("new")
    assert tokens.token().expires_at > now


def test_what_is_wrong_is_one_line_without_a_secret(provider: Provider, secret: Path) -> None:
    source = Secret("X_FILE", str(secret))
    cases = [
        (Tokens(provider.token_url, "other", source), "wrong credentials: the token endpoint at 127.0.0.1 refuses"),
        (Tokens(f"{provider.issuer}/none", "vigia", source), "gives no token: HTTP 404"),
        (Tokens(provider.jwks_url.replace("/jwks", "/text"), "vigia", source), "what it answers is no token"),
        (Tokens("http://127.0.0.1:1/token", "vigia", source), "it does not answer"),
        (Tokens(provider.token_url.replace("http:", "https:"), "vigia", source), "it speaks no TLS on this port"),
    ]
    for tokens, line in cases:
        with pytest.raises(TokenError) as raised:
            tokens.token()
        assert line in str(raised.value)
        assert "\n" not in str(raised.value)
        assert SHOWN_NOWHERE not in str(raised.value) + repr(tokens)
    assert SHOWN_NOWHERE not in repr(Tokens(provider.token_url, "vigia", source).token())
