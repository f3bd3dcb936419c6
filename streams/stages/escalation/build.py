"""The escalation stage, made from settings."""

from __future__ import annotations

from schemas.serde import Serde
from streams.pipeline import StageDeclaration
from streams.runtime.stage import AnyStage
from streams.settings import Settings
from streams.stages.escalation.stage import EscalationStage
from streams.stages.escalation.ticker import Ticker
from streams.stages.grading.quarantine import Quarantine
from streams.stages.policy.file import load_policy


def build(settings: Settings, serde: Serde, declared: StageDeclaration) -> AnyStage:
    """The stage, with its ticker. Raises PolicyError."""
    policy = load_policy(settings.policy_file)
    return EscalationStage(policy, Quarantine(policy), serde, Ticker(settings.bootstrap_servers, serde))
