"""Which model version judges which case: a value built from the orders on the control topic.

The topic is compacted and keyed by what is ordered (`active`, `canary`, `shadow`), so the newest order of each stands,
for workers that run and for those that start later.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from uuid import UUID

from schemas.events import ModelAction, ModelControlEvent

ACTIVE, CANARY, SHADOW = "active", "canary", "shadow"

_ROLES = {
    ModelAction.PROMOTE: ACTIVE,
    ModelAction.ROLLBACK: ACTIVE,
    ModelAction.CANARY: CANARY,
    ModelAction.SHADOW: SHADOW,
}


def role_of(action: ModelAction) -> str | None:
    """The key under which an order is published; None for `clear`, which says by its key what it clears."""
    return _ROLES.get(action)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A standing order: which version, and where the order came from (for the audit)."""

    version: str
    event_id: UUID
    record_hash: str
    #: Part of the cases that a canary judges, 0–1.
    share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """The standing orders. `active` None: nobody ordered one, so the registry's own default judges."""

    active: Order | None = None
    canary: Order | None = None
    shadow: Order | None = None

    def after(self, key: str, event: ModelControlEvent, record_hash: str) -> Rollout:
        """The orders after one more. An order under a key that does not fit its action changes nothing."""
        if event.action is ModelAction.CLEAR and key in (CANARY, SHADOW):
            return replace(self, **{key: None})
        if _ROLES.get(event.action) != key:
            return self
        order = Order(version=event.model_version, event_id=event.event_id, record_hash=record_hash, share=event.share)
        return replace(self, **{key: order})

    def orders(self) -> tuple[tuple[str, Order], ...]:
        """The standing orders by role, the active one first."""
        roles = ((ACTIVE, self.active), (CANARY, self.canary), (SHADOW, self.shadow))
        return tuple((role, order) for role, order in roles if order is not None)


def is_canary(case_id: UUID, version: str, share: float) -> bool:
    """Whether a case belongs to the canary's share: by a stable hash, so that a replay decides alike.

    The version is part of the hash: a second canary gets other cases than the first.
    """
    digest = hashlib.sha256(case_id.bytes + version.encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
