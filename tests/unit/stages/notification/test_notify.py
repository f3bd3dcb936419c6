"""Messages reach a real HTTP server and a real SMTP server, hold nothing of the patient, and are tried again."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiosmtpd.controller import Controller

from ops.embedded.ports import free_ports
from schemas.envelope.raw import RawRecord
from schemas.events import EscalationEvent, EscalationType, ReviewPriority
from streams import topics
from streams.runtime.records import Input, Result, StateChange
from streams.stages.grading.quarantine import Quarantine
from streams.stages.notification.courier import PER_TARGET, Courier
from streams.stages.notification.delivery import KEY_HEADER, deliver
from streams.stages.notification.ledger import STALE, Ledger, Owed
from streams.stages.notification.message import Message, message
from streams.stages.notification.stage import NotificationStage
from streams.stages.notification.targets import Targets, TargetsError, load_targets
from streams.stages.policy.file import packaged_policy
from tests.unit.clinical.cases import decision
from tests.unit.clinical.escalations import opened

CHANNELS = ("#emergencias", "#especialistas", "#equipo-medico")
BOTH = ("es", "en")
ROLES = {role: {"es": text.es, "en": text.en} for role, text in packaged_policy().roles.items()}


class Hook:
    """A webhook that refuses the first `refusals` requests, and answers none while `answers` is cleared."""

    def __init__(self, refusals: int = 0) -> None:
        self.answers = threading.Event()
        self.answers.set()
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.requests.append((dict(self.headers), body))
                hook.answers.wait()
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
        hook.answers.set()
        hook.server.shutdown()
        hook.server.server_close()
        thread.join()


def event(kind: str = "emergency", *, level: int = 0) -> EscalationEvent:
    made = opened(decision("stage_4"), kind).event
    return replace(made, raised_at=datetime.now(UTC), level=level)


def stage(*urls: str, **more: Any) -> NotificationStage:
    targets = Targets(languages=BOTH, channels=dict.fromkeys(CHANNELS, urls))
    policy = packaged_policy()
    return NotificationStage(targets, policy, Quarantine(policy), pauses_s=more.pop("pauses_s", (0.01, 0.01)), **more)


class Log:
    """What the runtime does for the stage: one partition, whose results and state are kept here."""

    def __init__(self, which: NotificationStage, ledger: Ledger | None = None) -> None:
        self.stage = which
        self.ledger = ledger or Ledger()
        #: Results that came later than their input, by event id.
        self.later: dict[UUID, Result] = {}
        self.state: dict[bytes, bytes] = {}
        self._offset = 0
        which.attach(self._later)
        which.on_assigned({0: self.ledger})

    def _later(self, raw: RawRecord, what: EscalationEvent, result: Result, state: Sequence[StateChange]) -> bool:
        self._keep(state)
        if result != Result():
            assert what.event_id not in self.later, "a second end of the same message"
            self.later[what.event_id] = result
        return True

    def _keep(self, changes: Sequence[StateChange]) -> None:
        for change in changes:
            if change.value is None:
                self.state.pop(change.key, None)
            else:
                self.state[change.key] = change.value

    def restored(self) -> Ledger:
        """What the next owner of the partition reads."""
        ledger = Ledger()
        for key, value in self.state.items():
            ledger.restore(key[1:], value)
        return ledger

    async def take(self, what: EscalationEvent, *, commit: bool = True) -> Result:
        record = RawRecord(
            topic=topics.ESCALATIONS[what.type],
            partition=0,
            offset=self._offset,
            timestamp_ms=0,
            key=b"k",
            value=b"x",
            headers=(("h", b"v"),),
        )
        self._offset += 1
        (result,) = await self.stage.handle_batch([Input(raw=record, event=what, hash="a" * 64, state=self.ledger)])
        self._keep(result.state)
        if commit:
            self.stage.on_committed(0, {record.topic: self._offset})
        return result

    async def ended(self, *events: EscalationEvent) -> list[Result]:
        await reached(lambda: all(each.event_id in self.later for each in events))
        return [self.later[each.event_id] for each in events]


async def reached(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - any condition, not one that somebody announces
            await asyncio.sleep(0.01)


def raw(topic: str) -> RawRecord:
    return RawRecord(topic=topic, partition=0, offset=7, timestamp_ms=0, key=None, value=b"x")


def processed(which: NotificationStage, what: EscalationEvent) -> Result:
    async def process() -> Result:
        log = Log(which)
        result = await log.take(what)
        if result.state:
            (result,) = await log.ended(what)
        await which.on_revoked()
        return result

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


class Gate:
    """Targets in memory for what only order shows: those in `dead` never answer until `open` is set."""

    def __init__(self, *dead: str) -> None:
        self.dead = dead
        self.open = threading.Event()
        self.delivered: list[tuple[str, UUID]] = []
        self.begun: list[str] = []

    def deliver(self, url: str, _: Message, event_id: UUID) -> bool:
        self.begun.append(url)
        if url in self.dead:
            self.open.wait(30)
            return False
        self.delivered.append((url, event_id))
        return True


def test_ten_dead_targets_hold_up_nobody_elses_message() -> None:
    dead = tuple(f"json://dead-{number}.invalid/" for number in range(10))
    gate = Gate(*dead)
    channels = {"#emergencias": ("json://alive.invalid/",), "#especialistas": dead, "#equipo-medico": dead}
    which = NotificationStage(
        Targets(languages=BOTH, channels=channels),
        packaged_policy(),
        Quarantine(packaged_policy()),
        deliver=gate.deliver,
    )
    routine = [replace(event(), event_id=uuid4(), channels=("#especialistas",)) for _ in range(20)]
    urgent = replace(event(), event_id=uuid4(), channels=("#emergencias",))

    async def run() -> None:
        log = Log(which)
        for each in routine:
            await log.take(each)
        await reached(lambda: set(gate.begun) == set(dead))
        await log.take(urgent)
        # Nobody of the twenty has got an answer yet: the gate is still closed.
        await log.ended(urgent)
        assert set(log.later) == {urgent.event_id}
        assert len(gate.begun) <= 1 + PER_TARGET * len(dead)
        gate.open.set()
        await which.on_revoked()

    asyncio.run(run())
    assert gate.delivered == [("json://alive.invalid/", urgent.event_id)]


def test_the_most_urgent_of_what_waits_for_a_target_goes_first() -> None:
    order: list[UUID] = []
    held = threading.Event()

    def slow(_: str, __: Message, event_id: UUID) -> bool:
        order.append(event_id)
        return held.wait(30)

    which = stage("json://slow.invalid/", deliver=slow)

    def of(priority: ReviewPriority) -> EscalationEvent:
        return replace(event(), event_id=uuid4(), review_priority=priority)

    first = [of(ReviewPriority.LOW) for _ in range(PER_TARGET)]
    waiting = [of(ReviewPriority.HIGH) for _ in range(5)]
    urgent = of(ReviewPriority.EMERGENCY)

    async def run() -> None:
        log = Log(which)
        for each in (*first, *waiting, urgent):
            await log.take(each)
        await reached(lambda: len(order) == PER_TARGET)
        held.set()
        await log.ended(*first, *waiting, urgent)
        await which.on_revoked()

    asyncio.run(run())
    assert order[PER_TARGET] == urgent.event_id


def test_nothing_is_sent_before_it_is_in_the_log_as_owed() -> None:
    gate = Gate()
    which, what = stage("json://alive.invalid/", deliver=gate.deliver), event()

    async def run() -> None:
        log = Log(which)
        await log.take(what, commit=False)
        await which.on_revoked()
        assert gate.begun == []
        # The next owner finds it in the log.
        Log(which, log.restored())
        await reached(lambda: gate.delivered == [("json://alive.invalid/", what.event_id)])
        await which.on_revoked()

    asyncio.run(run())


def test_a_message_on_its_way_when_the_partition_goes_is_not_sent_again_by_the_next_owner() -> None:
    arrived, let_go = threading.Event(), threading.Event()
    sent: list[UUID] = []

    def slow(_: str, __: Message, event_id: UUID) -> bool:
        sent.append(event_id)
        arrived.set()
        return let_go.wait(30)

    which, what = stage("json://slow.invalid/", deliver=slow), event()

    async def run() -> None:
        log = Log(which)
        await log.take(what)
        await asyncio.to_thread(arrived.wait, 30)
        going = asyncio.ensure_future(which.on_revoked())
        await asyncio.sleep(0)
        let_go.set()
        await going
        assert what.event_id in log.later
        assert len(log.restored()) == 0
        Log(which, log.restored())
        await which.on_revoked()

    asyncio.run(run())
    assert sent == [what.event_id]


def test_a_target_that_never_answers_does_not_keep_a_partition_and_is_asked_again_by_the_next_owner() -> None:
    gate = Gate("json://dead.invalid/")
    courier = Courier(gate.deliver, lambda *_: pytest.fail("an answer after the partition went"))

    async def run() -> None:
        owed = Owed(raw=raw(topics.ESCALATIONS_EMERGENCY), event=event())
        courier.send(owed, ("json://dead.invalid/",), message(owed.event, BOTH, ROLES))
        await reached(lambda: len(gate.begun) == 1)
        await courier.drain(within_s=0.01)
        gate.open.set()
        await asyncio.sleep(0.05)

    asyncio.run(run())


def test_a_redriven_message_goes_only_to_the_targets_that_have_not_confirmed() -> None:
    gate = Gate("json://dead.invalid/")
    gate.open.set()
    which, what = stage("json://dead.invalid/", "json://alive.invalid/", deliver=gate.deliver), event()

    async def run() -> None:
        log = Log(which)
        await log.take(what)
        (result,) = await log.ended(what)
        assert result.problem is not None
        assert result.problem.detail == "1 of 2 targets did not confirm after 3 tries"
        await which.on_revoked()
        # After a restart, too: what has confirmed is part of the state.
        gate.dead = ()
        again = Log(which, log.restored())
        assert gate.begun.count("json://dead.invalid/") == 3, "sent although it was given up"
        await again.take(what)
        (result,) = await again.ended(what)
        assert result.notes[0].outcome == "notified:emergency:0"
        await which.on_revoked()

    asyncio.run(run())
    assert sorted(url for url, _ in gate.delivered) == ["json://alive.invalid/", "json://dead.invalid/"]


def test_an_owed_message_that_cannot_be_read_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    ledger, owed = Ledger(), Owed(raw=raw(topics.ESCALATIONS_EMERGENCY), event=event(), confirmed={"a"})
    ledger.restore(b"k", b"\xff")
    ledger.restore(b"k", b"[" * 100_000)
    ledger.restore(b"k", owed.to_json().replace(b'"version":1', b'"version":2'))
    ledger.restore(owed.event.event_id.bytes, owed.to_json())
    assert list(ledger) == [owed]
    assert caplog.text.count("cannot be read") == 3


def test_what_was_given_up_is_forgotten_when_it_is_too_old_to_be_sent_again() -> None:
    ledger, now = Ledger(), datetime.now(UTC)
    old = Owed(raw=raw("t"), event=replace(event(), raised_at=now - 2 * STALE), given_up=True, confirmed={"a"})
    new = Owed(raw=raw("t"), event=replace(event(), event_id=uuid4(), raised_at=now), given_up=True, confirmed={"a"})
    ledger.put(old)
    ledger.put(new)
    (change,) = ledger.forget_stale(now)
    assert (change.key[1:], change.value) == (old.event.event_id.bytes, None)
    assert list(ledger) == [new]


def test_a_message_that_nobody_sends_any_more_is_seen_until_it_is_sent_anew() -> None:
    def refuses(*_: object) -> bool:
        raise RuntimeError

    async def lose_and_take_over() -> None:
        with webhook() as hook:
            which = stage(hook.url)
            log = Log(which)
            which.attach(refuses)
            assert which.still_s() == {"courier": 0}
            await log.take(event())
            await reached(lambda: which.still_s()["courier"] > 0 and which.longest_s() == 0)
            await which.on_revoked()
            which.on_assigned({})
            assert which.still_s() == {"courier": 0}

    asyncio.run(lose_and_take_over())


def test_a_target_that_never_answers_is_seen_until_it_does() -> None:
    async def hang() -> None:
        with webhook() as hook:
            which = stage(hook.url)
            hook.answers.clear()
            log = Log(which)
            what = event()
            await log.take(what)
            await reached(lambda: which.still_s()["courier"] > 0)
            hook.answers.set()
            await log.ended(what)
            await reached(lambda: which.still_s() == {"courier": 0})
            await which.on_revoked()

    asyncio.run(hang())
