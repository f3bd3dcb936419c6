"""The notification stage, made from settings."""

from __future__ import annotations

from schemas.serde import Serde
from streams.pipeline import StageDeclaration
from streams.runtime.stage import AnyStage
from streams.settings import Settings, SettingsError
from streams.stages.grading.quarantine import Quarantine
from streams.stages.notification.stage import NotificationStage
from streams.stages.notification.targets import load_targets
from streams.stages.policy.file import load_policy


def build(settings: Settings, serde: Serde, declared: StageDeclaration) -> AnyStage:
    """The stage. Raises SettingsError where no file of targets is named, TargetsError, PolicyError."""
    if settings.notify_file is None:
        raise SettingsError(
            "VIGIA_NOTIFY_FILE is not set: the file with the targets of each channel; see docs/escalations.md"
        )
    policy = load_policy(settings.policy_file)
    channels = {channel for spec in policy.escalations.values() for channel in spec.channels}
    return NotificationStage(load_targets(settings.notify_file, channels), policy, Quarantine(policy))
