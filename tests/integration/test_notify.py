"""`vigia notify` as a process: each level reaches a real web server once, and is audited when that confirmed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from streams import topics
from streams.stages.notification.delivery import KEY_HEADER
from tests.integration.clocked import CHANNELS, clocked_system, emergency
from tests.services import RegistryService
from tests.unit.stages.notification.test_notify import webhook


def test_each_level_is_sent_once_and_audited_over_a_restart(registry: RegistryService, tmp_path: Path) -> None:
    with clocked_system(registry, tmp_path) as clock, webhook() as hook:
        targets = tmp_path / "targets.yaml"
        targets.write_text("channels:\n" + "".join(f'  "{channel}": ["{hook.url}"]\n' for channel in CHANNELS))
        command = [sys.executable, "-m", "ops", "notify", "--targets", str(targets)]

        def start() -> subprocess.Popen[bytes]:
            with (tmp_path / "notify.log").open("ab") as log:
                process = subprocess.Popen(command, env=clock.env, stdout=log, stderr=log)
            clock.workers.append(process)
            return process

        clock.start_worker()
        notifier = start()
        asked = clock.grade(emergency(within_s=6, every_s=3600))

        def audited(outcome: str) -> None:
            clock.watcher.until(
                lambda seen: (
                    seen.topic == topics.AUDIT
                    and seen.event is not None
                    and seen.event.case_id == asked.case_id
                    and seen.event.outcome == outcome
                ),
                what=outcome,
            )

        audited("notified:emergency:0")
        notifier.kill()
        notifier.wait()
        start()
        audited("notified:emergency:1")
        clock.watcher.settle()
        sent = [headers[KEY_HEADER] for headers, _ in hook.requests]
        assert sent == [str(seen.event.event_id) for seen in clock.all_escalated(asked.case_id)]
        assert len(sent) == 2
        for _, body in hook.requests:
            assert str(asked.case_id) not in str(body)
            assert str(asked.patient_token) not in str(body)
