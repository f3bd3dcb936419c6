"""The models in a worker's memory, and the change from one set to the next between two batches.

A set is immutable. A batch takes the set that is current when it begins and keeps it to its end, so no case is judged
by half of each; a new set is loaded and warmed up beside the old one first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from inference.findings import ModelError
from inference.predictor import Predictor
from streams import metrics
from streams.serving.rollout import ACTIVE, CANARY, SHADOW, Order, Rollout, is_canary

logger = logging.getLogger(__name__)

#: Loads a version, or the registry's active one for None. Raises ModelError.
LoadPredictor = Callable[[str | None], Predictor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of an order: told once to the audit, by the worker that carried it out or refused."""

    role: str
    order: Order
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSet:
    """The predictors by role. No `active` one: nothing is judged, every case goes to people."""

    active: Predictor | None = None
    canary: Predictor | None = None
    canary_share: float = 0.0
    shadow: Predictor | None = None
    rollout: Rollout = field(default_factory=Rollout)

    def judge_of(self, case_id: UUID) -> Predictor | None:
        """The one model whose word counts for this case."""
        if self.canary is not None and is_canary(case_id, self.canary.model_version, self.canary_share):
            return self.canary
        return self.active

    def predictors(self) -> tuple[Predictor, ...]:
        """All that are loaded."""
        return tuple(each for each in (self.active, self.canary, self.shadow) if each is not None)


def load_set(rollout: Rollout, standing: ModelSet, load: LoadPredictor) -> tuple[ModelSet, list[Change]]:
    """The set that the orders ask for, loaded and warm, and what became of each new order.

    What stands already is not loaded again. An order for a version that is missing, broken or tampered with is refused:
    the active model stays what it was, a canary or shadow is left out. Blocking: call it in the model's thread.
    """
    changes: list[Change] = []
    loaded = {each.model_version: each for each in standing.predictors()}

    def fetch(role: str, order: Order | None, before: Order | None) -> Predictor | None:
        if order is None:
            return None
        try:
            predictor = loaded.get(order.version) or _warm(load, order.version)
        except ModelError as error:
            logger.error("model %s ordered as %s is refused: %s", order.version, role, error)
            metrics.MODEL_REFUSED.labels(role).inc()
            changes.append(Change(role=role, order=order, outcome=f"model_refused:{role}"))
            return None
        loaded[order.version] = predictor
        if order != before:
            changes.append(Change(role=role, order=order, outcome=f"model_loaded:{role}"))
        return predictor

    was = standing.rollout
    active = fetch(ACTIVE, rollout.active, was.active) or standing.active or _default(load)
    canary = fetch(CANARY, rollout.canary, was.canary)
    shadow = fetch(SHADOW, rollout.shadow, was.shadow)
    made = ModelSet(
        active=active,
        canary=canary,
        canary_share=rollout.canary.share if rollout.canary is not None else 0.0,
        shadow=shadow,
        rollout=rollout,
    )
    _show(made)
    return made, changes


def _default(load: LoadPredictor) -> Predictor | None:
    try:
        return _warm(load, None)
    except ModelError as error:
        logger.error("no valid model, every case goes to a person: %s", error)
        return None


def _warm(load: LoadPredictor, version: str | None) -> Predictor:
    predictor = load(version)
    predictor.warm_up()
    return predictor


def _show(models: ModelSet) -> None:
    metrics.MODEL.clear()
    for role, predictor in ((ACTIVE, models.active), (CANARY, models.canary), (SHADOW, models.shadow)):
        if predictor is not None:
            metrics.MODEL.labels(predictor.model_version, role).set(1)
