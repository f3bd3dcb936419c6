"""The notification stage as a process that gives a target up after a moment instead of a minute."""

from __future__ import annotations

import sys
from pathlib import Path

from ops.system import logs
from ops.system.context import load_settings
from schemas.serde import Serde
from streams import topics
from streams.runtime.app import StageApp
from streams.runtime.worker import leave, serve
from streams.stages.grading.quarantine import Quarantine
from streams.stages.notification.stage import NotificationStage
from streams.stages.notification.targets import load_targets
from streams.stages.policy.file import load_policy

if __name__ == "__main__":
    logs.configure()
    settings = load_settings()
    policy = load_policy(settings.policy_file)
    serde = Serde(settings.schema_registry_url)
    serde.warm_up(topics.RECORDS)
    stage = NotificationStage(load_targets(Path(sys.argv[1]), ()), policy, Quarantine(policy), pauses_s=(0.05, 0.05))
    leave(serve(StageApp(stage, serde, settings.bootstrap_servers)))
