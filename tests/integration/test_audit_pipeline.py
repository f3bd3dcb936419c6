"""The audit of the real pipeline: clean while it works and after it has met bad input; a mended case is redriven."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlparse

import pytest

from ops.system.system import System
from schemas.events import CaseEvent, GradingKind
from streams import topics
from streams.audit.auditor import Auditor
from streams.audit.report import AuditFinding
from streams.dead_letters.read import DeadLetters, Filter
from streams.dead_letters.redrive import Rules, Status, redrive
from tests.integration.cases import Publisher
from tests.integration.watcher import Watcher


@pytest.fixture(scope="module")
def publisher(pipeline: System) -> Publisher:
    return Publisher.of(pipeline.settings)


def auditor(pipeline: System, publisher: Publisher) -> Auditor:
    return Auditor(pipeline.settings.bootstrap_servers, publisher.serde.registry)


def test_verification_raises_no_false_alarm_while_the_pipeline_works(
    pipeline: System, publisher: Publisher, watcher: Watcher
) -> None:
    picture = publisher.case().image
    cases: list[CaseEvent] = []
    about_them: list[AuditFinding] = []
    for _ in range(6):
        fresh = [publisher.case(image=picture) for _ in range(8)]
        cases += fresh
        for case in fresh:
            publisher.send_case(case)
        publisher.send(topics.CASES_ROUTINE, fresh[0].case_id, b"no avro " + fresh[0].case_id.bytes)
        own = {case.case_id for case in cases}
        report = auditor(pipeline, publisher).verify()
        about_them += [finding for finding in report.findings if finding.case_id in own]
    assert about_them == []
    for case in cases:
        watcher.of(case.case_id, topics.GRADINGS)
    watcher.settle()
    whole = auditor(pipeline, publisher).verify()
    assert [finding for finding in whole.findings if finding.case_id in own] == []
    for case in cases[:3]:
        report = auditor(pipeline, publisher).verify(case.case_id)
        assert report.clean, report.findings
        assert report.entries >= 4
        assert report.pending == 0
    assert auditor(pipeline, publisher).verify(cases[0].case_id).quarantined == 1


def test_a_case_whose_picture_comes_late_is_redriven_judged_and_its_chain_holds(
    pipeline: System, publisher: Publisher, watcher: Watcher
) -> None:
    case = publisher.case()
    path = Path(urlparse(case.image.uri).path)
    picture = path.read_bytes()
    path.unlink()
    publisher.send_case(case)
    asked = watcher.of(case.case_id, topics.GRADINGS)[0]
    assert asked.kind is GradingKind.QUARANTINE
    path.write_bytes(picture)
    letters = DeadLetters(pipeline.settings.bootstrap_servers)
    chosen = letters.letters(Filter(case_id=case.case_id))
    assert [letter.reason for letter in chosen] == ["image_missing"]
    for expected in (Status.REDRIVEN, Status.ALREADY):
        outcomes = list(redrive(letters, publisher.serde, chosen, Rules()))
        assert [outcome.status for outcome in outcomes] == [expected]
    inference = watcher.of(case.case_id, topics.INFERENCES)[0]
    assert inference.source_event_id == case.event_id
    decided = watcher.of(case.case_id, topics.GRADINGS, 2)[1]
    assert decided.kind is GradingKind.DECISION
    publisher.send_case(replace(publisher.case(), case_id=case.case_id))
    watcher.of(case.case_id, topics.GRADINGS, 3)
    watcher.settle()
    report = auditor(pipeline, publisher).verify(case.case_id)
    assert report.clean, report.findings
    assert (report.redriven, report.quarantined) == (1, 1)
