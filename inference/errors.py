"""The family of this package's errors."""

from __future__ import annotations


class InferenceError(Exception):
    """Base of every error here whose text is one line for people: what is wrong, and what to do."""
