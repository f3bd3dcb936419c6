"""The inference stage of one lane, made from settings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from inference.predictor import Predictor
from schemas.serde import Serde
from streams.images.store import ImageStore
from streams.pipeline import StageDeclaration
from streams.runtime.stage import AnyStage
from streams.serving.judge import FollowOrders, Judge
from streams.serving.rollout import Rollout
from streams.serving.watcher import ModelWatcher
from streams.settings import Settings
from streams.stages.grading.quarantine import Quarantine
from streams.stages.inference.stage import MAX_BATCH, InferenceStage
from streams.stages.policy.file import load_policy

#: Threads of the model's runtime. One: a machine that runs the whole pipeline has other work for its second core, and a
#: machine with more cores runs more workers.
MODEL_THREADS = 1


def build(settings: Settings, serde: Serde, declared: StageDeclaration) -> AnyStage:
    """The stage; `declared.lane` names its lane. Raises PolicyError or SettingsError."""
    assert declared.lane is not None
    judge = Judge(partial(load_predictor, settings.model_dir, MAX_BATCH[declared.lane]), _orders(settings, serde))
    return InferenceStage(
        declared.lane,
        ImageStore.from_settings(settings),
        judge,
        Quarantine(load_policy(settings.policy_file)),
        heat_maps=settings.heat_maps,
        canary_key=settings.canary_key,
    )


def load_predictor(model_dir: Path | None, batch_size: int, version: str | None) -> Predictor:
    """A version of the registry folder, the active one for None. Raises ModelError where it is not what it says."""
    return Predictor.load(version, model_dir, batch_size=batch_size, threads=MODEL_THREADS)


def _orders(settings: Settings, serde: Serde) -> FollowOrders:
    def follow(on_change: Callable[[Rollout], None]) -> Rollout:
        return ModelWatcher(settings.bootstrap_servers, serde, settings.partitions, on_change).start()

    return follow
