"""What can be wrong with how a service is to be reached; no text ever holds a secret.

The base of all errors of one line stands here, since nothing of ours lies below (`schemas.errors` has it too).
"""

from __future__ import annotations


class OneLineError(Exception):
    """Base of every error whose text is one line for people: what is wrong, and what to do.

    The command line shows that line and ends with exit code 1 (`ops/cli.py`); no command repeats it.
    """


class AccessError(OneLineError, ValueError):
    """A setting of VIGIA_KAFKA_… or VIGIA_SCHEMA_REGISTRY_… is missing, wrong, or does not go with another."""


class SecretError(AccessError):
    """A secret's file cannot be read, or its command gives none."""


class TokenError(OneLineError):
    """The token endpoint gives no token."""
