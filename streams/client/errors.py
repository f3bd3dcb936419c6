"""What can go wrong between a program of the hospital and the pipeline, beyond what is wrong with a picture or a code.

One line each, with what to do, and without patient data.
"""

from __future__ import annotations

from streams.broker.errors import ClientError


class InvalidCaseError(ClientError, ValueError):
    """The caller's own input cannot be a case: the text names the field and what it must be, never the value."""


class CaseConflictError(ClientError):
    """The same case was published before as a synthetic one, or is to be now and was none."""


class NotAcknowledgedError(ClientError):
    """The broker did not confirm the event.

    It may be stored or not; publishing it again is safe, the ids are the same.
    """


class ClockError(ClientError):
    """The broker refuses the time of this machine. Nothing is stored, and publishing again before it is set is vain."""


class ConsumerError(ClientError):
    """The broker refuses to let us read, or to keep a position."""
