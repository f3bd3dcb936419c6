"""For producers and consumers of case events and escalations: no Faust needed."""

import logging

from streams.broker.errors import BrokerUnavailableError, ClientError, TopicMissingError
from streams.broker.received import ReceivedEvent
from streams.client.cases import NewCase
from streams.client.consumer import EventConsumer
from streams.client.delivery import PublishedCase, RefusedCase
from streams.client.errors import CaseConflictError, ClockError, ConsumerError, InvalidCaseError, NotAcknowledgedError
from streams.client.producer import PUBLISH_ERRORS, CaseProducer

# A library is silent unless its user configures logging; errors reach the caller as exceptions.
logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = [
    "PUBLISH_ERRORS",
    "BrokerUnavailableError",
    "CaseConflictError",
    "CaseProducer",
    "ClientError",
    "ClockError",
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
