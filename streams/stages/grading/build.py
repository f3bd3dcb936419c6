"""The grading stage, made from settings."""

from __future__ import annotations

from schemas.serde import Serde
from streams.pipeline import StageDeclaration
from streams.runtime.stage import AnyStage
from streams.settings import Settings
from streams.stages.grading.quarantine import Quarantine
from streams.stages.grading.stage import GradingStage
from streams.stages.policy.file import load_policy


def build(settings: Settings, serde: Serde, declared: StageDeclaration) -> AnyStage:
    """The stage. Raises PolicyError."""
    policy = load_policy(settings.policy_file)
    return GradingStage(policy, Quarantine(policy))
