"""Hypothesis without deadlines: a shared machine may stop for longer than any test takes."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")
