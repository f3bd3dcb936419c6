"""For producers and consumers of case events and escalations: no Faust needed."""

import logging

from streams.client.cases import NewCase
from streams.client.consumer import EventConsumer
from streams.client.delivery import PublishedCase, RefusedCase
from streams.client.errors import (
    BrokerUnavailableError,
    CaseConflictError,
    ClientError,
    ConsumerError,
    InvalidCaseError,
    NotAcknowledgedError,
    TopicMissingError,
)
from streams.client.producer import PUBLISH_ERRORS, CaseProducer
from streams.client.received import ReceivedEvent

# A library is silent unless its user configures logging; errors reach the caller as exceptions.
logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = [
    "PUBLISH_ERRORS",
    "BrokerUnavailableError",
    "CaseConflictError",
    "CaseProducer",
    "ClientError",
    "ConsumerError",
    "EventConsumer",
    "InvalidCaseError",
    "NewCase",
    "NotAcknowledgedError",
    "PublishedCase",
    "ReceivedEvent",
    "RefusedCase",
    "TopicMissingError",
]
