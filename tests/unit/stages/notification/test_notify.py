"""Messages reach a real HTTP server and a real SMTP server, hold nothing of the patient, and are tried again."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from ops.embedded.ports import free_ports
from schemas.envelope.raw import RawRecord
from schemas.events import EscalationEvent, EscalationType
from streams import topics
from streams.runtime.records import Input, Result
from streams.runtime.stage import NoState
from streams.stages.grading.quarantine import Quarantine
from streams.stages.notification.delivery import KEY_HEADER, deliver
from streams.stages.notification.message import message
from streams.stages.notification.stage import NotificationStage
from streams.stages.notification.targets import Targets, TargetsError, load_targets
from streams.stages.policy.file import packaged_policy
from tests.unit.clinical.cases import decision
from tests.unit.clinical.escalations import opened

CHANNELS = ("#emergencias", "#especialistas", "#equipo-medico")
BOTH = ("es", "en")
ROLES = {role: {"es": text.es, "en": text.en} for role, text in packaged_policy().roles.items()}


class Hook:
    """A webhook that refuses the first `refusals` requests."""

    def __init__(self, refusals: int = 0) -> None:
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.requests.append((dict(self.headers), body))
                self.send_response(503 if len(hook.requests) <= refusals else 200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                return

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self.server.server_port}/"


@contextmanager
def webhook(refusals: int = 0) -> Iterator[Hook]:
    hook = Hook(refusals)
    thread = threading.Thread(target=hook.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        hook.server.shutdown()
        hook.server.server_close()
        thread.join()


def event(kind: str = "emergency", *, level: int = 0) -> EscalationEvent:
    made = opened(decision("stage_4"), kind).event
    return replace(made, raised_at=datetime.now(UTC), level=level)


def stage(*urls: str) -> NotificationStage:
    targets = Targets(languages=BOTH, channels=dict.fromkeys(CHANNELS, urls))
    policy = packaged_policy()
    return NotificationStage(targets, policy, Quarantine(policy), pauses_s=(0.01, 0.01))


def record_of(what: EscalationEvent) -> Input[EscalationEvent, NoState]:
    topic = topics.ESCALATIONS[what.type]
    return Input(raw=raw(topic), event=what, hash="a" * 64, state=NoState())


def raw(topic: str) -> RawRecord:
    return RawRecord(topic=topic, partition=0, offset=7, timestamp_ms=0, key=None, value=b"x")


def processed(which: NotificationStage, what: EscalationEvent) -> Result:
    async def process() -> Result:
        return (await which.handle_batch([record_of(what)]))[0]

    return asyncio.run(process())


def test_a_webhook_gets_an_escalation_once_although_three_channels_lead_to_it() -> None:
    what = event()
    with webhook() as hook:
        result = processed(stage(hook.url), what)
    ((headers, body),) = hook.requests
    assert headers[KEY_HEADER] == str(what.event_id)
    assert str(what.escalation_id) in body["message"]
    (note,) = result.notes
    assert (note.outcome, note.event_id) == ("notified:emergency:0", what.event_id)
    assert note.attributes["tries"] == "1"


def test_a_target_that_refuses_is_tried_again_under_the_same_key() -> None:
    with webhook(refusals=2) as hook:
        result = processed(stage(hook.url), event())
    assert len(hook.requests) == 3
    assert len({headers[KEY_HEADER] for headers, _ in hook.requests}) == 1
    assert result.notes[0].attributes["tries"] == "3"


def test_a_target_that_never_confirms_becomes_a_system_error_and_nothing_is_audited_as_sent() -> None:
    which, what = stage("json://127.0.0.1:1/"), event()
    result = processed(which, what)
    assert result.problem is not None
    assert (result.problem.reason, result.notes) == ("notification_failed", ())
    (asked,) = which.on_problem(raw(topics.ESCALATIONS_EMERGENCY), what, result.problem).outputs
    assert EscalationType.SYSTEM_ERROR in {request.type for request in asked.event.escalations}  # type: ignore[attr-defined]
    # The system error goes over the same channels: that it fails too must not ask again, for ever.
    again = replace(what, reasons=asked.event.reasons)  # type: ignore[attr-defined]
    assert which.on_problem(raw(topics.ESCALATIONS_SYSTEM_ERROR), again, result.problem).outputs == ()


def test_an_e_mail_arrives_at_a_real_smtp_server_in_both_languages() -> None:
    letters: list[Any] = []

    class Inbox:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            letters.append(envelope)
            return "250 OK"

    what = event()
    controller = Controller(Inbox(), hostname="127.0.0.1", port=free_ports(1)[0])
    controller.start()
    try:
        port = controller.port
        url = f"mailto://127.0.0.1:{port}?from=vigia@example.org&to=guardia@example.org&mode=insecure"
        assert deliver(url, message(what, BOTH, ROLES), what.event_id)
    finally:
        controller.stop()
    (letter,) = letters
    assert letter.rcpt_tos == ["guardia@example.org"]
    assert f"{KEY_HEADER}: {what.event_id}".encode().lower() in letter.content.lower()


@pytest.mark.parametrize("kind", [kind for kind in EscalationType if kind is not EscalationType.UNKNOWN])
def test_a_message_says_who_must_answer_and_nothing_of_the_patient(kind: EscalationType) -> None:
    what = replace(event(level=2), type=kind)
    built = message(what, BOTH, ROLES)
    text = f"{built.title}\n{built.body}"
    assert ROLES[what.role]["es"] in text
    assert ROLES[what.role]["en"] in text
    assert what.disclaimer.es in text
    assert what.disclaimer.en in text
    assert "\n" not in built.title
    assert what.patient_token is not None
    assert what.patient_token not in text
    assert str(what.case_id) not in text
    for reason in what.reasons:
        assert reason.es not in text
        assert reason.en not in text
    assert message(what, ("es",), ROLES).body != message(what, ("en",), ROLES).body


def test_canaries_and_alarms_of_long_ago_are_not_sent() -> None:
    with webhook() as hook:
        assert processed(stage(hook.url), replace(event(), synthetic=True)) == Result()
        old = replace(event(), raised_at=datetime.now(UTC) - timedelta(days=2))
        assert processed(stage(hook.url), old).notes[0].outcome == "notification_skipped:stale"
    assert hook.requests == []


def test_secrets_come_from_the_environment_and_never_stand_in_an_error(tmp_path: Path) -> None:
    file = tmp_path / "targets.yaml"
    file.write_text('channels: {"#a": ["json://${USER_NAME}:${SECRET}@localhost/"]}')
    targets = load_targets(file, ["#a"], {"USER_NAME": "u", "SECRET": "s3cret"})
    assert targets.of(["#a", "#a"]) == ("json://u:s3cret@localhost/",)
    with pytest.raises(TargetsError, match="the variable SECRET is not set"):
        load_targets(file, ["#a"], {"USER_NAME": "u"})
    file.write_text('channels: {"#a": ["nonsense-s3cret"]}')
    with pytest.raises(TargetsError, match="no URL that Apprise knows") as refused:
        load_targets(file, ["#a"])
    assert "s3cret" not in str(refused.value)


def test_a_channel_that_leads_nowhere_must_be_written_down(tmp_path: Path) -> None:
    file = tmp_path / "targets.yaml"
    file.write_text('channels: {"#a": ["json://localhost/"], "#b": []}')
    assert load_targets(file, ["#a", "#b"]).of(["#b"]) == ()
    with pytest.raises(TargetsError, match="channel #c of the policy has no entry"):
        load_targets(file, ["#a", "#c"])
