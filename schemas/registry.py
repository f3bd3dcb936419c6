"""The schema registry, with its failures told apart: not there, not known, not compatible.

Any registry that speaks the Confluent API serves (Apicurio under `/apis/ccompat/v7`, Karapace, Confluent).
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import httpx2
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from schemas.errors import ContractError, IncompatibleSchemaError, RegistryUnavailableError, SchemaNotRegisteredError

#: Every version must read and be read by every other released version: consumers in other languages upgrade when they
#: like.
COMPATIBILITY = "FULL_TRANSITIVE"

#: An emergency waits at most 5 s for the registry, all attempts together, before it is put before a person. Two
#: attempts of 2 s and a pause keep within that, and a slow garbage collection of the registry fits into 2 s.
TIMEOUT_S = 2.0
RETRIES = 1
RETRY_PAUSE_MS = 200

NOT_FOUND = 404
CONFLICT = 409
#: Request timeout, too early, too many requests: the same request may succeed later, as with any 5xx.
TRANSIENT = frozenset({408, 425, 429})


def subject_of(topic: str) -> str:
    """The registry subject of a topic's values (TopicNameStrategy)."""
    return f"{topic}-value"


class Registry:
    """A connection to the registry at `url`. A call blocks for at most `timeout_s` × (1 + `retries`) and the pauses
    between.

    Every method raises RegistryUnavailableError when the registry does not answer, or says that it cannot at present.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S, retries: int = RETRIES) -> None:
        self.url = url
        self._client = SchemaRegistryClient(
            {
                "url": url,
                "timeout": timeout_s,
                "max.retries": retries,
                "retries.wait.ms": RETRY_PAUSE_MS,
                "retries.max.wait.ms": RETRY_PAUSE_MS,
            }
        )

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
            return str(self._ask(lambda: self._client.get_schema(schema_id)).schema_str)
        except _Refusal as refusal:
            refusal.raise_unless_missing()
            return None

    def schema_id(self, subject: str, schema: str) -> int:
        """The id of exactly this schema under `subject`; SchemaNotRegisteredError when it is not registered there."""
        try:
            return int(self._ask(lambda: self._client.lookup_schema(subject, Schema(schema, "AVRO"))).schema_id)
        except _Refusal as refusal:
            refusal.raise_unless_missing()
            raise SchemaNotRegisteredError(
                f"the registry lacks this version of subject {subject}: run `vigia topics apply`"
            ) from None

    def register(self, subject: str, schema: str) -> int:
        """Register the schema and return its id (the same one when it is there already).

        Raises IncompatibleSchemaError naming the subject when its compatibility rule forbids it.
        """
        try:
            return int(self._ask(lambda: self._client.register_schema(subject, Schema(schema, "AVRO"))))
        except _Refusal as refusal:
            if refusal.status == CONFLICT:
                raise IncompatibleSchemaError(f"the registry refuses {subject}: {refusal.message}") from None
            raise

    def compatibility(self, subject: str) -> str | None:
        """The compatibility rule of the subject; None when it has none of its own."""
        try:
            return str(self._ask(lambda: self._client.get_config(subject)).compatibility_level)
        except _Refusal as refusal:
            refusal.raise_unless_missing()
            return None

    def set_compatibility(self, subject: str, level: str = COMPATIBILITY) -> None:
        """Set the compatibility rule of the subject."""
        self._ask(lambda: self._client.set_compatibility(subject, level))

    def versions(self, subject: str) -> list[int]:
        """Version numbers of the subject, oldest first; empty when there is no such subject."""
        try:
            return sorted(self._ask(lambda: self._client.get_versions(subject)))
        except _Refusal as refusal:
            refusal.raise_unless_missing()
            return []

    def _ask(self, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except SchemaRegistryError as error:
            if error.http_status_code in TRANSIENT or error.http_status_code >= 500:
                raise RegistryUnavailableError(
                    f"the schema registry at {self.url} cannot answer now (HTTP {error.http_status_code})"
                ) from None
            raise _Refusal(self.url, error.http_status_code, error.error_message) from None
        except httpx2.HTTPError as error:
            raise RegistryUnavailableError(
                f"the schema registry at {self.url} does not answer ({type(error).__name__})"
            ) from None
        except ValueError:
            # The client parses every answer as JSON: a page in HTML means that the URL leads elsewhere.
            raise ContractError(f"what answers at {self.url} is no schema registry") from None


class _Refusal(ContractError):
    """The registry answered, and the answer is no."""

    def __init__(self, url: str, status: int, message: str) -> None:
        super().__init__(f"the schema registry at {url} refuses: HTTP {status}: {message}")
        self.status = status
        self.message = message

    def raise_unless_missing(self) -> None:
        """Raise this refusal unless it says that there is no such thing."""
        if self.status != NOT_FOUND:
            raise self
