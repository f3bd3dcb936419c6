"""How Faust's consumer reaches the brokers: the settings of `streams.broker.security`, in the form that Faust takes."""

from __future__ import annotations

from typing import Any

from faust.auth import Credentials, OAuthCredentials, SASLCredentials, SSLCredentials

from streams.broker.security import for_aiokafka, security_of


def credentials_of(bootstrap_servers: str) -> Credentials | None:
    """None for plaintext. Raises AccessError."""
    settings: dict[str, Any] = for_aiokafka(security_of(bootstrap_servers))
    context = settings.get("ssl_context")
    if "sasl_oauth_token_provider" in settings:
        return OAuthCredentials(oauth_cb=settings["sasl_oauth_token_provider"], ssl_context=context)
    if "sasl_mechanism" in settings:
        return SASLCredentials(
            username=settings["sasl_plain_username"],
            password=settings["sasl_plain_password"],
            mechanism=settings["sasl_mechanism"],
            ssl_context=context,
        )
    return None if context is None else SSLCredentials(context)
