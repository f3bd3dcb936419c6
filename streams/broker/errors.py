"""What can go wrong between us and a broker. One line each, with what to do, and without patient data."""

from __future__ import annotations

from schemas.errors import OneLineError


class ClientError(OneLineError):
    """Base of the errors of producers, consumers and readers of topics."""


class BrokerUnavailableError(ClientError):
    """No broker can be reached. Nothing is known to be stored; the call may be repeated."""


class TopicMissingError(ClientError):
    """The topic does not exist; topics are created by `vigia topics apply`, not by those who use them."""


class NotAdmittedError(ClientError):
    """A broker answers and does not let us in: wrong credentials, no trust, or another way than it takes."""


class NotAllowedError(ClientError):
    """The broker knows us, and does not allow this; rights are given by `docs/security.md`."""
