"""The clinical policy: what its file may hold, how it is read, and what it may never do."""

from streams.clinical.policy.overlay import merge
from streams.clinical.policy.reader import content_hash, read_policy
from streams.clinical.policy.values import Policy, PolicyError, Problem

__all__ = ["Policy", "PolicyError", "Problem", "content_hash", "merge", "read_policy"]
