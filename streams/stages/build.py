"""The stages by name, built from settings: what `vigia worker` starts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from inference.predictor import Predictor
from schemas.events import Lane
from schemas.serde import Serde
from streams.images.store import ImageStore
from streams.runtime.stage import Stage
from streams.serving.judge import FollowOrders, Judge
from streams.serving.rollout import Rollout
from streams.serving.watcher import ModelWatcher
from streams.settings import Settings
from streams.stages.escalation.stage import EscalationStage
from streams.stages.escalation.ticker import Ticker
from streams.stages.grading.quarantine import Quarantine
from streams.stages.grading.stage import GradingStage
from streams.stages.inference.stage import MAX_BATCH, InferenceStage
from streams.stages.policy_file import load_policy

STAGES = ("inference", "grading", "escalation")
#: Threads of the model's runtime. One: a machine that runs the whole pipeline has other work for its second core, and a
#: machine with more cores runs more workers.
MODEL_THREADS = 1


def build_stage(name: str, settings: Settings, serde: Serde, *, lane: Lane | None = None) -> Stage:
    """The stage of that name; `lane` is needed for inference. Raises PolicyError or SettingsError."""
    policy = load_policy(settings.policy_file)
    quarantine = Quarantine(policy)
    if name == "inference":
        assert lane is not None
        judge = Judge(partial(load_predictor, settings.model_dir, MAX_BATCH[lane]), _orders(settings, serde))
        store = ImageStore.from_settings(settings)
        return InferenceStage(lane, store, judge, quarantine, heat_maps=settings.heat_maps)
    if name == "grading":
        return GradingStage(policy, quarantine)
    if name == "escalation":
        return EscalationStage(policy, quarantine, serde, Ticker(settings.bootstrap_servers, serde))
    raise ValueError(f"no stage called {name}")


def load_predictor(model_dir: Path | None, batch_size: int, version: str | None) -> Predictor:
    """A version of the registry folder, the active one for None. Raises ModelError where it is not what it says."""
    return Predictor.load(version, model_dir, batch_size=batch_size, threads=MODEL_THREADS)


def _orders(settings: Settings, serde: Serde) -> FollowOrders:
    def follow(on_change: Callable[[Rollout], None]) -> Rollout:
        return ModelWatcher(settings.bootstrap_servers, serde, settings.partitions, on_change).start()

    return follow
