"""What a broker's refusal means, in the words of a person who can mend it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiokafka import errors
from confluent_kafka import KafkaError

from streams.broker.errors import ClientError, NotAllowedError, TopicMissingError

_RIGHTS = "rights are given on the brokers, see docs/security.md"
#: Names of Kafka's errors → what is not allowed.
_NOT_ALLOWED: Mapping[int, str] = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "a topic (READ, WRITE or DESCRIBE is missing)",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "a consumer group (READ or DESCRIBE is missing)",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "the cluster (the right to change or describe it is missing)",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "a transactional id (WRITE or DESCRIBE is missing)",
}
_CREDENTIALS = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED})


def in_words(error: KafkaError) -> str:
    """One line for an error of librdkafka: what is not allowed, that we are refused, or its own words."""
    code: int = error.code()
    if code in _CREDENTIALS:
        return "wrong credentials: the broker refuses them"
    return not_allowed(code) or str(error.str())


def not_allowed(code: int) -> str | None:
    """One line for the number of a broker's error that says that we may not; None for any other."""
    what = _NOT_ALLOWED.get(code)
    return None if what is None else f"not allowed: {what}; {_RIGHTS}"


def crash_in_words(error: BaseException | None) -> str | None:
    """One line for what ended a worker where a broker's refusal did, whichever library met it; None elsewhere."""
    seen = error
    while seen is not None:
        if isinstance(seen, errors.KafkaError) and (line := not_allowed(getattr(seen, "errno", 0))):
            names = ", ".join(sorted(map(str, seen.args[0]))) if seen.args and isinstance(seen.args[0], set) else ""
            return f"{line} ({names})" if names else line
        if seen.args and isinstance(seen.args[0], KafkaError) and (line := not_allowed(seen.args[0].code())):
            return line
        seen = seen.__cause__ or seen.__context__
    return None


def no_such_topic(name: str, found: Any) -> ClientError:
    """The error for a topic without partitions; `found` is its metadata, asked for by its name.

    A broker lists no topic that we may not see, and only says so when it is asked for that one.
    """
    error = getattr(found, "error", None)
    if error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        return NotAllowedError(
            f"not allowed: topic {name} (READ, WRITE or DESCRIBE is missing, or the topic); {_RIGHTS}"
        )
    return TopicMissingError(f"topic {name} does not exist: run `vigia topics apply`")
