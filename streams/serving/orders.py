"""Orders to the inference workers about model versions: published, and heard by all of them."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from confluent_kafka import KafkaError

from schemas.errors import OneLineError
from schemas.events import ModelAction, ModelControlEvent
from schemas.serde import Serde
from streams import topics
from streams.broker import clients
from streams.serving.rollout import CANARY, SHADOW, role_of
from streams.settings import Settings

#: How long the broker may take to acknowledge an order.
ACKNOWLEDGE_WITHIN_S = 15.0


class OrderNotSentError(OneLineError):
    """The broker did not take the order; nothing has changed."""


def order(
    settings: Settings,
    action: ModelAction,
    version: str,
    *,
    share: float = 1.0,
    clears: str | None = None,
) -> UUID:
    """Publish an order and wait for the broker; returns its event id.

    `share` (0–1) is the canary's part of the cases; `clears` names what `clear` ends: `canary` or `shadow`. Raises
    OrderNotSentError, ContractError (registry away or topics not applied), ValueError.
    """
    key = clears if action is ModelAction.CLEAR else role_of(action)
    if key is None or (action is ModelAction.CLEAR and key not in (CANARY, SHADOW)):
        raise ValueError("clear needs canary or shadow; unknown is no order")
    event = ModelControlEvent(
        event_id=uuid4(), action=action, model_version=version, share=share, decided_at=datetime.now(UTC)
    )
    serde = Serde(settings.schema_registry_url)
    producer = clients.producer(settings.bootstrap_servers, {"delivery.timeout.ms": int(ACKNOWLEDGE_WITHIN_S * 1000)})
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: object) -> None:
        if error is not None:
            failed.append(error)

    value = serde.encode(event, topics.MODEL_CONTROL)
    producer.produce(topics.MODEL_CONTROL, value, key=key.encode(), on_delivery=delivered)
    if producer.flush(ACKNOWLEDGE_WITHIN_S) or failed:
        raise OrderNotSentError("the broker did not acknowledge the order; try again")
    serde.close()
    return event.event_id
