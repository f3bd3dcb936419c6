"""The schema registry, with its failures told apart: away, not known, not compatible.

Any registry that speaks the Confluent API serves (Apicurio under `/apis/ccompat/v7`, Karapace, Confluent). Whatever is
not an answer of a registry (a page in HTML, a redirect, half an answer) counts as away: it says nothing
about a schema, and a worker must not end for it; that we are refused is told apart in its text. No text shows the
credentials of the address.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from schemas.access import tls
from schemas.access.errors import AccessError, TokenError
from schemas.access.registry import RegistryAccess, registry_access
from schemas.access.token import Tokens
from schemas.errors import ContractError, IncompatibleSchemaError, RegistryUnavailableError, SchemaNotRegisteredError

#: Every version must read and be read by every other released version: consumers in other languages upgrade when they
#: like.
COMPATIBILITY = "FULL_TRANSITIVE"

#: An emergency waits at most 5 s for the registry, all attempts together, before it is put before a person. Two
#: attempts of 2 s and a pause keep within that, and a slow garbage collection of the registry fits into 2 s.
TIMEOUT_S = 2.0
RETRIES = 1
RETRY_PAUSE_MS = 200

T = TypeVar("T")

UNAUTHORIZED = 401
FORBIDDEN = 403
NOT_FOUND = 404
CONFLICT = 409
#: Characters of a registry's own words that are shown.
SHOWN = 200
UNREADABLE = "an address that cannot be read"


def subject_of(topic: str) -> str:
    """The registry subject of a topic's values (TopicNameStrategy)."""
    return f"{topic}-value"


class Registry:
    """A connection to the registry at `url`. A call blocks for at most `timeout_s` × (1 + `retries`) and the pauses
    between.

    Every method raises RegistryUnavailableError when the registry does not answer, or answers what says nothing of the
    question.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S, retries: int = RETRIES) -> None:
        """`url` may be a `ServiceAddress`. Raises ContractError for one that is none, AccessError for its settings."""
        self.shown = shown(url)
        access = registry_access(url)
        self._trusted = "this machine's" if access.tls is None else access.tls.trusted
        try:
            self._client = SchemaRegistryClient(
                {
                    "url": str(url),
                    **_client_settings(access),
                    "timeout": timeout_s,
                    "max.retries": retries,
                    "retries.wait.ms": RETRY_PAUSE_MS,
                    "retries.max.wait.ms": RETRY_PAUSE_MS,
                }
            )
        except ValueError:
            raise ContractError(f"{self.shown} is no address of a schema registry") from None

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def schema(self, schema_id: int) -> str | None:
        """The schema (JSON) with this id, or None when the registry knows of none."""
        try:
            return self._ask(lambda: _text(self._client.get_schema(schema_id).schema_str))
        except _MissingError:
            return None

    def subjects(self, schema_id: int) -> frozenset[str]:
        """The subjects under which the schema with this id is registered now."""
        try:
            return self._ask(lambda: frozenset(map(_text, _list(self._client.get_subjects_by_schema_id(schema_id)))))
        except _MissingError:
            return frozenset()

    def schema_id(self, subject: str, schema: str) -> int:
        """The id of exactly this schema under `subject`; SchemaNotRegisteredError when it is not registered there."""
        try:
            return self._ask(lambda: int(self._client.lookup_schema(subject, Schema(schema, "AVRO")).schema_id))
        except _MissingError:
            raise SchemaNotRegisteredError(
                f"the registry lacks this version of subject {subject}: run `vigia topics apply`"
            ) from None

    def register(self, subject: str, schema: str) -> int:
        """Register the schema and return its id (the same one when it is there already).

        Raises IncompatibleSchemaError naming the subject when its compatibility rule forbids it.
        """
        try:
            return self._ask(lambda: int(self._client.register_schema(subject, Schema(schema, "AVRO"))))
        except _ConflictError as conflict:
            raise IncompatibleSchemaError(f"the registry refuses {subject}: {conflict}") from None

    def compatibility(self, subject: str) -> str | None:
        """The compatibility rule of the subject; None when it has none of its own."""
        try:
            return self._ask(lambda: str(self._client.get_config(subject).compatibility_level))
        except _MissingError:
            return None

    def set_compatibility(self, subject: str, level: str = COMPATIBILITY) -> None:
        """Set the compatibility rule of the subject."""
        self._ask(lambda: self._client.set_compatibility(subject, level))

    def versions(self, subject: str) -> list[int]:
        """Version numbers of the subject, oldest first; empty when there is no such subject."""
        try:
            return self._ask(lambda: sorted(map(int, _list(self._client.get_versions(subject)))))
        except _MissingError:
            return []

    def version(self, subject: str, number: int) -> str:
        """The schema (JSON) of a version of the subject. Raises SchemaNotRegisteredError."""
        try:
            return self._ask(lambda: _text(self._client.get_version(subject, number).schema.schema_str))
        except _MissingError:
            raise SchemaNotRegisteredError(f"subject {subject} has no version {number}") from None

    def _ask(self, question: Callable[[], T]) -> T:
        try:
            return question()
        except SchemaRegistryError as error:
            status, code, said = error.http_status_code, str(error.error_code), _one_line(error.error_message)
            # A proxy says 404 as well; only a registry says which of its things is missing.
            if status == NOT_FOUND and code.startswith(str(NOT_FOUND)):
                raise _MissingError(said) from None
            if status == UNAUTHORIZED:
                raise RegistryUnavailableError(
                    f"wrong credentials: the schema registry at {self.shown} refuses them"
                ) from None
            if status == FORBIDDEN:
                raise RegistryUnavailableError(
                    f"not allowed: the schema registry at {self.shown} refuses us this"
                ) from None
            if status == CONFLICT:
                raise _ConflictError(said) from None
            raise RegistryUnavailableError(
                f"the schema registry at {self.shown} cannot answer: HTTP {status}: {said}"
            ) from None
        except (ValueError, TypeError, KeyError, AttributeError):
            # The client parses every answer as JSON of a certain form: another one means that the URL leads elsewhere.
            raise RegistryUnavailableError(f"what answers at {self.shown} is no schema registry") from None
        except (AccessError, TokenError) as error:
            raise RegistryUnavailableError(f"the schema registry at {self.shown} is not asked: {error}") from None
        except Exception as error:  # whatever the HTTP client raises, its base classes are several
            if (reason := tls.why(error, self._trusted)) is not None:
                raise RegistryUnavailableError(
                    f"the TLS connection to the schema registry at {self.shown} fails: {reason}"
                ) from None
            raise RegistryUnavailableError(
                f"the schema registry at {self.shown} does not answer ({type(error).__name__})"
            ) from None


def _client_settings(access: RegistryAccess) -> dict[str, Any]:
    """What the client library takes. It reads files and password when it is made, a bearer token for every request."""
    settings: dict[str, Any] = {}
    if access.tls is not None:
        given = {
            "ssl.ca.location": access.tls.ca_file,
            "ssl.certificate.location": access.tls.cert_file,
            "ssl.key.location": access.tls.key_file,
        }
        settings = {name: str(file) for name, file in given.items() if file is not None}
        if access.tls.key_password is not None:
            settings["ssl.key.password"] = access.tls.key_password.read()
    if (bearer := access.bearer) is not None:
        settings["bearer.auth.credentials.source"] = "CUSTOM"
        # The library wants the name of one of Confluent's clusters; other registries do not look at it.
        settings["bearer.auth.custom.provider.function"] = lambda _: {
            "bearer.auth.token": bearer.token().value if isinstance(bearer, Tokens) else bearer.read(),
            "bearer.auth.logical.cluster": "vigia",
        }
        settings["bearer.auth.custom.provider.config"] = {}
    elif access.user is not None and access.password is not None:
        settings["basic.auth.user.info"] = f"{access.user}:{access.password.read()}"
    return settings


def shown(url: str) -> str:
    """The address without user and password, for people to read."""
    return ",".join(map(_without_credentials, url.split(",")))


def _without_credentials(url: str) -> str:
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            return UNREADABLE
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    except ValueError:
        return UNREADABLE


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def _one_line(message: object) -> str:
    return re.sub(r"[^\x20-\x7e]+", " ", str(message))[:SHOWN]


class _MissingError(ContractError):
    """The registry answered that there is no such thing."""


class _ConflictError(ContractError):
    """The registry answered that a rule of its forbids this."""
