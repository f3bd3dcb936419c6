"""What makes a synthetic case one of the canary's: a proof that only whoever holds its key can write.

A synthetic case asks nobody, so whoever could mark a real patient's case as synthetic would silence its alarm.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from uuid import UUID

#: The only producer that may publish synthetic cases.
PRODUCER = "canary"
_DOMAIN = b"vigia/canary/v1\x00"


def canary_proof(key: bytes, case_id: UUID) -> str:
    """HMAC-SHA-256 (64 hex digits) of the case's id under the canary's key."""
    return hmac.new(key, _DOMAIN + case_id.bytes, sha256).hexdigest()


def is_canary(key: bytes | None, case_id: UUID, proof: str | None) -> bool:
    """Whether the proof is the canary's; without a key nothing is."""
    return key is not None and proof is not None and hmac.compare_digest(canary_proof(key, case_id), proof)
