"""Access tokens of an OIDC provider, by the client credentials of this program (RFC 6749, section 4.4)."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlencode

from schemas.access import tls
from schemas.access.address import beyond_loopback, host_of
from schemas.access.errors import AccessError, TokenError
from schemas.access.secret import Secret
from schemas.access.tls import Tls
from schemas.access.variables import Variables

#: Seconds for an answer of the endpoint.
WITHIN_S = 10.0
#: The part of a token's life after which the next one is fetched.
USED_UP = 0.8
#: Life of a token of which the provider does not say it, and the longest answer that is read, in bytes.
UNSAID_S, LONGEST = 300.0, 1 << 20


@dataclass(frozen=True, slots=True)
class Token:
    """A token and the end of its life, in seconds since the epoch."""

    value: str
    expires_at: float

    def __repr__(self) -> str:
        return f"Token(expires_at={self.expires_at})"


class Tokens:
    """Tokens of one provider for one client; safe to share between threads. The secret is read for every token."""

    def __init__(
        self,
        url: str,
        client_id: str,
        client_secret: Secret,
        *,
        scope: str | None = None,
        ca: Tls | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.url = url
        self.client_id = client_id
        self._secret = client_secret
        self._scope = scope
        self._tls = ca or Tls()
        self._clock = clock
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._renew_at = 0.0

    def __repr__(self) -> str:
        return f"Tokens({self.url}, {self.client_id})"

    def token(self) -> Token:
        """A token that is good for a while. Blocks for an answer; raises TokenError, SecretError."""
        with self._lock:
            if self._token is None or self._clock() >= self._renew_at:
                now = self._clock()
                token = self._token = self._fetch(now)
                self._renew_at = now + USED_UP * (token.expires_at - now)
            return self._token

    def _fetch(self, now: float) -> Token:
        fields = {"grant_type": "client_credentials"} | ({"scope": self._scope} if self._scope else {})
        # RFC 6749, section 2.3.1: both are form-encoded before they become user and password.
        who = f"{quote_plus(self.client_id)}:{quote_plus(self._secret.read())}"
        request = urllib.request.Request(  # noqa: S310  # its scheme is checked where the variable is read
            self.url,
            data=urlencode(fields).encode(),
            headers={"Authorization": f"Basic {b64encode(who.encode()).decode()}", "Accept": "application/json"},
        )
        handlers: list[Any] = [_NoRedirect()]
        if self.url.startswith("https:"):
            handlers.append(urllib.request.HTTPSHandler(context=self._tls.context()))
        if beyond_loopback(self.url) is None:
            # A proxy of the environment must not be asked for this machine.
            handlers.append(urllib.request.ProxyHandler({}))
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=WITHIN_S) as answer:
                return _token(json.loads(answer.read(LONGEST)), now)
        except urllib.error.HTTPError as error:
            raise TokenError(self._refused(error)) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = tls.why(error, self._tls.trusted)
            if reason is None:
                reason = "it does not answer" if isinstance(error, OSError) else "what it answers is no token"
            raise TokenError(f"the token endpoint at {host_of(self.url)} gives no token: {reason}") from None

    def _refused(self, error: urllib.error.HTTPError) -> str:
        where = f"the token endpoint at {host_of(self.url)}"
        # RFC 6749, section 5.2: invalid_client, with 401 or 400.
        try:
            code = str(json.loads(error.read(LONGEST)).get("error", ""))
        except (OSError, ValueError, AttributeError):
            code = ""
        if error.code == 401 or code == "invalid_client":
            return f"wrong credentials: {where} refuses client {self.client_id}"
        if code == "invalid_scope":
            return f"not allowed: {where} refuses client {self.client_id} this scope"
        return f"{where} gives no token: HTTP {error.code}"


def tokens_of(variables: Variables, what: str) -> Tokens:
    """From …TOKEN_URL, …CLIENT_ID, …CLIENT_SECRET_FILE or _COMMAND, …SCOPE, …TOKEN_CA_FILE. Raises AccessError."""
    url = variables.need("TOKEN_URL", what)
    if not url.startswith(("https://", "http://")):
        raise AccessError(f"{variables.name('TOKEN_URL')} is no URL")
    if url.startswith("http:") and beyond_loopback(url):
        raise AccessError(f"{variables.name('TOKEN_URL')} must begin with https: a secret is sent there")
    ca = variables.get("TOKEN_CA_FILE")
    trust = Tls(ca_file=None if ca is None else Path(ca))
    trust.check()
    return Tokens(
        url,
        variables.need("CLIENT_ID", what),
        variables.need_secret("CLIENT_SECRET", what),
        scope=variables.get("SCOPE"),
        ca=trust,
    )


def _token(answer: dict[str, Any], now: float) -> Token:
    value = answer["access_token"]
    if not isinstance(value, str) or not value:
        raise TypeError("no text")
    return Token(value, now + max(1.0, float(answer.get("expires_in") or UNSAID_S)))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Credentials are sent where they were meant to go, and nowhere else."""
