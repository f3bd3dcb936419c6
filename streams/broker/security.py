"""How a cluster is reached: one value from the variables VIGIA_KAFKA_…, and from it the settings of both libraries."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

from aiokafka.abc import AbstractTokenProvider

from schemas.access.address import KAFKA, beyond_loopback, variables_of
from schemas.access.errors import AccessError
from schemas.access.secret import Secret
from schemas.access.tls import Tls, tls_of
from schemas.access.token import Tokens, tokens_of
from schemas.access.variables import PAGE, Variables, with_sources

SCRAM = "SCRAM-SHA-512"
OAUTHBEARER = "OAUTHBEARER"


class Mode(StrEnum):
    """The ways to reach a broker: `VIGIA_KAFKA_SECURITY`."""

    PLAINTEXT = "plaintext"
    TLS = "tls"
    MTLS = "mtls"
    SCRAM = "scram"
    OAUTH = "oauth"


_CERTIFICATE = ("CERT_FILE", "KEY_FILE", *with_sources("KEY_PASSWORD"))
_USER = ("USER", *with_sources("PASSWORD"))
_CLIENT = ("TOKEN_URL", "CLIENT_ID", *with_sources("CLIENT_SECRET"), "SCOPE", "TOKEN_CA_FILE")
_KNOWN = ("CA_FILE", *_CERTIFICATE, *_USER, *_CLIENT)
_ALLOWED: Mapping[Mode, tuple[str, ...]] = {
    Mode.PLAINTEXT: (),
    Mode.TLS: ("CA_FILE",),
    Mode.MTLS: ("CA_FILE", *_CERTIFICATE),
    Mode.SCRAM: ("CA_FILE", *_USER),
    Mode.OAUTH: ("CA_FILE", *_CLIENT),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """How brokers are reached. Its text shows no secret: those are read when a connection is made."""

    mode: Mode = Mode.PLAINTEXT
    tls: Tls = field(default_factory=Tls)
    user: str | None = None
    password: Secret | None = None
    tokens: Tokens | None = None

    @property
    def who(self) -> str:
        """Who we are to the broker, in words for an error."""
        match self.mode:
            case Mode.SCRAM:
                return f"user {self.user}"
            case Mode.OAUTH:
                return f"client {self.tokens.client_id}" if self.tokens else "this client"
            case Mode.MTLS:
                return f"the certificate {self.tls.cert_file.name}" if self.tls.cert_file else "this client"
            case _:
                return "an unnamed client"


def security_of(bootstrap_servers: str) -> Security:
    """How these brokers are reached.

    Raises AccessError for settings that are missing, wrong or do not go together, and for plaintext beyond this machine
    that was not asked for by name.
    """
    return _security(bootstrap_servers, tuple(sorted(variables_of(bootstrap_servers).items())))


def for_librdkafka(security: Security) -> dict[str, Any]:
    """The settings of a client of confluent-kafka. Raises SecretError.

    librdkafka reads certificates and the password when a client is made, and fetches tokens as long as it lives.
    """
    tls = security.tls
    settings: dict[str, Any] = {} if tls.ca_file is None else {"ssl.ca.location": str(tls.ca_file)}
    match security.mode:
        case Mode.PLAINTEXT:
            return {}
        case Mode.TLS:
            return {**settings, "security.protocol": "SSL"}
        case Mode.MTLS:
            password = {} if tls.key_password is None else {"ssl.key.password": tls.key_password.read()}
            return {
                **settings,
                **password,
                "security.protocol": "SSL",
                "ssl.certificate.location": str(tls.cert_file),
                "ssl.key.location": str(tls.key_file),
            }
        case Mode.SCRAM:
            assert security.password is not None
            return {
                **settings,
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": SCRAM,
                "sasl.username": security.user,
                "sasl.password": security.password.read(),
            }
        case Mode.OAUTH:
            tokens = security.tokens
            assert tokens is not None

            def fetch(_: str) -> tuple[str, float]:
                token = tokens.token()
                return token.value, token.expires_at

            return {**settings, "security.protocol": "SASL_SSL", "sasl.mechanism": OAUTHBEARER, "oauth_cb": fetch}


def for_aiokafka(security: Security) -> dict[str, Any]:
    """The settings of a client of aiokafka. Certificates, password and tokens are read for every connection."""
    match security.mode:
        case Mode.PLAINTEXT:
            return {}
        case Mode.TLS | Mode.MTLS:
            return {"security_protocol": "SSL", "ssl_context": security.tls.context()}
        case Mode.SCRAM:
            assert security.password is not None
            return {
                "security_protocol": "SASL_SSL",
                "ssl_context": security.tls.context(),
                "sasl_mechanism": SCRAM,
                "sasl_plain_username": security.user,
                "sasl_plain_password": PasswordNow(security.password),
            }
        case Mode.OAUTH:
            assert security.tokens is not None
            return {
                "security_protocol": "SASL_SSL",
                "ssl_context": security.tls.context(),
                "sasl_mechanism": OAUTHBEARER,
                "sasl_oauth_token_provider": TokenProvider(security.tokens),
            }


class PasswordNow(str):
    """Stands for a password in aiokafka, which is given it once but encodes it for every connection."""

    __slots__ = ("_secret",)
    _secret: Secret

    def __new__(cls, secret: Secret) -> PasswordNow:
        """The text itself says nothing: whoever prints it prints no password."""
        made = super().__new__(cls, "(read for every connection)")
        made._secret = secret
        return made

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """The password as its source has it now. Raises SecretError."""
        return self._secret.read().encode(encoding, errors)


class TokenProvider(AbstractTokenProvider):  # type: ignore[misc]
    """Gives aiokafka a token for every connection, without holding up its loop."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def token(self) -> str:
        """A token that is good for a while. Raises TokenError, SecretError."""
        return (await asyncio.to_thread(self._tokens.token)).value


@lru_cache(maxsize=32)
def _security(servers: str, found: tuple[tuple[str, str], ...]) -> Security:
    # Kept: files are checked once, and one store of tokens serves every client of the process.
    variables = Variables(KAFKA, dict(found))
    asked = variables.get("SECURITY")
    beyond = beyond_loopback(servers)
    ways = ", ".join(mode.value for mode in Mode if mode is not Mode.PLAINTEXT)
    if asked is None and beyond is not None:
        raise AccessError(
            f"VIGIA_BOOTSTRAP_SERVERS names {beyond}, which is not this machine: set {variables.name('SECURITY')} to "
            f"one of {ways}, or to plaintext to do without on purpose; {PAGE}"
        )
    if asked is not None and asked not in list(Mode):
        raise AccessError(f"{variables.name('SECURITY')} must be one of {', '.join(Mode)}; {PAGE}")
    mode = Mode(asked or Mode.PLAINTEXT)
    what = f"{variables.name('SECURITY')}={mode}"
    variables.refuse_others(
        _KNOWN, _ALLOWED[mode], what if asked else f"plaintext: {variables.name('SECURITY')} is not set (one of {ways})"
    )
    match mode:
        case Mode.PLAINTEXT:
            return Security()
        case Mode.TLS | Mode.MTLS:
            return Security(mode=mode, tls=tls_of(variables, client=mode is Mode.MTLS))
        case Mode.SCRAM:
            return Security(
                mode=mode,
                user=variables.need("USER", what),
                password=variables.need_secret("PASSWORD", what),
                tls=tls_of(variables, client=False),
            )
        case Mode.OAUTH:
            return Security(mode=mode, tokens=tokens_of(variables, what), tls=tls_of(variables, client=False))
