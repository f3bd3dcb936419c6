"""How a schema registry is reached, from VIGIA_SCHEMA_REGISTRY_…: TLS, basic, bearer, client certificate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from schemas.access.address import REGISTRY, beyond_loopback, variables_of
from schemas.access.errors import AccessError
from schemas.access.secret import Secret
from schemas.access.tls import Tls, tls_of
from schemas.access.token import Tokens, tokens_of
from schemas.access.variables import PAGE, Variables, with_sources

URL = "VIGIA_SCHEMA_REGISTRY_URL"
_CERTIFICATE = ("CERT_FILE", "KEY_FILE", *with_sources("KEY_PASSWORD"))
_BASIC = ("USER", *with_sources("PASSWORD"))
_OAUTH = ("TOKEN_URL", "CLIENT_ID", *with_sources("CLIENT_SECRET"), "SCOPE", "TOKEN_CA_FILE")
_BEARER = with_sources("TOKEN")
_KNOWN = ("CA_FILE", *_CERTIFICATE, *_BASIC, *_BEARER, *_OAUTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAccess:
    """What a client of the registry needs besides its address."""

    #: None: plaintext.
    tls: Tls | None = None
    user: str | None = None
    password: Secret | None = None
    #: A bearer token from a file or command, or from an OIDC provider.
    bearer: Secret | Tokens | None = None


def registry_access(url: str) -> RegistryAccess:
    """How the registry at this address is reached. Raises AccessError, one line per thing that is wrong."""
    variables = Variables(REGISTRY, variables_of(url))
    security = variables.get("SECURITY")
    if security not in (None, "plaintext", "tls"):
        raise AccessError(f"{variables.name('SECURITY')} must be plaintext or tls; {PAGE}")
    plain = [each for each in url.split(",") if each.strip().startswith("http:")]
    if variables_of(url) and any(urlsplit(each).password for each in url.split(",")):
        raise AccessError(
            f"{URL} must not hold a password: use {variables.name('USER')} and {variables.name('PASSWORD_FILE')}"
        )
    if plain and security == "tls":
        raise AccessError(f"{variables.name('SECURITY')}=tls, and {URL} does not begin with https")
    if plain and (host := beyond_loopback(",".join(plain))) is not None:
        if security != "plaintext":
            raise AccessError(
                f"{URL} names {host}, which is not this machine, without TLS: use https, or set "
                f"{variables.name('SECURITY')}=plaintext to do without on purpose; {PAGE}"
            )
        variables.refuse_others(_KNOWN, (), f"plaintext to {host}")
    allowed, who = _who(variables)
    if plain:
        variables.refuse_others(("CA_FILE", *_CERTIFICATE), (), "a registry without TLS")
    variables.refuse_others(_KNOWN, ("CA_FILE", *_CERTIFICATE, *allowed), "the other credentials of the registry")
    client = any(variables.get(name) for name in _CERTIFICATE)
    return RegistryAccess(tls=None if plain else tls_of(variables, client=client), **who)


def _who(variables: Variables) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The variables of the one way that is chosen, and what they say."""
    if variables.get("TOKEN_URL") is not None:
        return _OAUTH, {"bearer": tokens_of(variables, "a token of an OIDC provider")}
    if (token := variables.secret("TOKEN")) is not None:
        return _BEARER, {"bearer": token}
    if any(variables.get(name) is not None for name in _BASIC):
        what = "basic authentication"
        return _BASIC, {"user": variables.need("USER", what), "password": variables.need_secret("PASSWORD", what)}
    return (), {}
