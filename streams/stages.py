"""The stages by name, built from settings: what `vigia worker` starts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from inference.predictor import Predictor
from schemas.events import Lane
from schemas.serde import Serde
from streams.escalation import EscalationStage
from streams.grading import GradingStage
from streams.images import ImageStore
from streams.inference import MAX_BATCH, InferenceStage
from streams.judging import FollowOrders, Judge
from streams.model_rollout import Rollout
from streams.model_watch import ModelWatcher
from streams.policy_file import load_policy
from streams.quarantine import Quarantine
from streams.runtime.stage import Stage
from streams.settings import Settings
from streams.ticker import Ticker

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
