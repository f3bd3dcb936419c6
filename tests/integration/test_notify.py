"""`vigia notify` as a process: each level reaches a real web server once, and is audited when that confirmed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import UUID

from schemas.events import AuditEntry, EscalationType, GradingEvent
from streams import topics
from streams.stages.notification.delivery import KEY_HEADER
from tests.integration.clocked import CHANNELS, Clocked, clocked_system, emergency
from tests.integration.watcher import PATIENCE_S
from tests.services import RegistryService
from tests.unit.stages.notification.test_notify import Hook, webhook


class Notifiers:
    """`vigia notify` processes with channels that lead where a test says."""

    def __init__(self, clock: Clocked, folder: Path, **channels: str) -> None:
        self._clock, self._folder = clock, folder
        self._targets = folder / "targets.yaml"
        lines = (f'  "{channel}": ["{channels.get(channel.strip("#"), channels["others"])}"]\n' for channel in CHANNELS)
        self._targets.write_text("channels:\n" + "".join(lines))

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "ops", "notify", "--targets", str(self._targets)]
        with (self._folder / "notify.log").open("ab") as log:
            process = subprocess.Popen(command, env=self._clock.env, stdout=log, stderr=log)
        self._clock.workers.append(process)
        return process

    def log(self) -> str:
        return (self._folder / "notify.log").read_text()


def audited(clock: Clocked, case_id: UUID, outcome: str) -> AuditEntry:
    (seen,) = clock.watcher.until(
        lambda seen: (
            seen.topic == topics.AUDIT
            and seen.event is not None
            and seen.event.case_id == case_id
            and seen.event.outcome == outcome
        ),
        what=outcome,
    )
    assert isinstance(seen.event, AuditEntry)
    return seen.event


def requested(hook: Hook, count: int) -> None:
    """Wait for that many requests."""
    deadline = time.monotonic() + PATIENCE_S
    while len(hook.requests) < count:
        assert time.monotonic() < deadline, f"{len(hook.requests)} of {count} requests came"
        time.sleep(0.01)


def keys(hook: Hook) -> list[str]:
    return [headers[KEY_HEADER] for headers, _ in hook.requests]


def of_type(kind: EscalationType) -> GradingEvent:
    """A grading that asks for one escalation of that type, whose deadline is far away."""
    made = emergency(within_s=3600, every_s=3600)
    channel = "#emergencias" if kind is EscalationType.EMERGENCY else "#riesgo-alto"
    (asked,) = made.escalations
    return replace(made, escalations=(replace(asked, type=kind, channels=(channel,)),))


@contextmanager
def silent() -> Iterator[tuple[str, threading.Semaphore, threading.Event]]:
    """A web server that takes requests and answers them when told to: its URL, a count of requests, and the word."""
    came, answer = threading.Semaphore(0), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            came.release()
            answer.wait(60)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"json://127.0.0.1:{server.server_port}/?rto=60", came, answer
    finally:
        answer.set()
        server.shutdown()
        server.server_close()


def test_each_level_is_sent_once_and_audited_over_a_kill_and_one_under_way_comes_again_with_its_key(
    registry: RegistryService, tmp_path: Path
) -> None:
    """The test tells the time: a deadline of real seconds passed while workers started, and the kill hit its message.

    That message comes twice, as is documented; here it is one that the test chooses.
    """
    with clocked_system(registry, tmp_path) as clock, webhook() as hook:
        notifiers = Notifiers(clock, tmp_path, others=hook.url)
        clock.stamp_ticks("CreateTime")
        clock.start_worker()
        notifier = notifiers.start()
        asked = clock.grade(emergency())

        def next_level(level: int) -> None:
            """The deadline of the level before passes."""
            clock.tick(asked.case_id, clock.escalated(asked.case_id, level)[-1].event.respond_by)
            clock.escalated(asked.case_id, level + 1)

        told = [audited(clock, asked.case_id, "notified:emergency:0")]
        before = len(hook.requests)
        hook.answers.clear()
        next_level(1)
        requested(hook, before + 1)
        notifier.kill()
        notifier.wait()
        under_way = len(hook.requests) - before
        hook.answers.set()
        # Raised while nobody sends.
        next_level(2)
        notifiers.start()
        told += [audited(clock, asked.case_id, f"notified:emergency:{level}") for level in (1, 2)]
        raised = [str(seen.event.event_id) for seen in clock.all_escalated(asked.case_id)]
        tries = [int(entry.attributes["tries"]) for entry in told]
        # One request per try: a target that confirms in time gets one.
        assert Counter(keys(hook)) == dict(zip(raised, (tries[0], under_way + tries[1], tries[2]), strict=True))
        for _, body in hook.requests:
            assert str(asked.case_id) not in str(body)
            assert str(asked.patient_token) not in str(body)


def test_a_silent_target_delays_no_emergency_and_a_second_notifier_sends_nothing_twice(
    registry: RegistryService, tmp_path: Path
) -> None:
    with clocked_system(registry, tmp_path) as clock, webhook() as hook, silent() as (url, came, answer):
        notifiers = Notifiers(clock, tmp_path, emergencias=hook.url, others=url)
        clock.start_worker()
        first = notifiers.start()
        held_up = clock.grade(of_type(EscalationType.HIGH_RISK))
        assert came.acquire(timeout=60), "the silent target was never asked"
        urgent = clock.grade(of_type(EscalationType.EMERGENCY))
        audited(clock, urgent.case_id, "notified:emergency:0")
        assert "notified:high_risk:0" not in clock.outcomes(held_up.case_id)

        # Every rebalance takes all partitions from all members. The one message on its way is given up after a while,
        # or answered; what had been confirmed is not sent again.
        notifiers.start()
        answer.set()
        audited(clock, held_up.case_id, "notified:high_risk:0")
        more = [clock.grade(of_type(EscalationType.EMERGENCY)) for _ in range(8)]
        for each in more:
            audited(clock, each.case_id, "notified:emergency:0")
        # And a stop ends soon, with all that was owed written down.
        first.send_signal(signal.SIGTERM)
        assert first.wait(90) == 0, notifiers.log()
        last = clock.grade(of_type(EscalationType.EMERGENCY))
        audited(clock, last.case_id, "notified:emergency:0")
        clock.watcher.settle()
        sent = keys(hook)
        assert len(sent) == len(set(sent)) == 10
