"""The commands, as a person types them, against topics on a real broker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ops.cli import cli
from schemas.envelope.audit import sha256_hex
from schemas.envelope.raw import RawRecord
from schemas.events import EscalationEvent
from streams import topics
from streams.images.records import FOLDER, RecordStore
from streams.runtime.dead_letter import dead_letter
from streams.runtime.records import InputProblem
from tests.integration.audited_pipeline import AuditedPipeline, case_event
from tests.services import KafkaService, RegistryService

Run = Callable[..., Result]


@pytest.fixture
def pipeline(kafka: KafkaService, registry: RegistryService, unique: str) -> Iterator[AuditedPipeline]:
    made = AuditedPipeline(kafka, registry, unique)
    yield made
    made.close()


@pytest.fixture
def vigia(pipeline: AuditedPipeline, registry: RegistryService, tmp_path: Path) -> Run:
    env = {
        "VIGIA_BOOTSTRAP_SERVERS": pipeline.bootstrap_servers,
        "VIGIA_SCHEMA_REGISTRY_URL": registry.url,
        "VIGIA_IMAGE_STORE": f"file://{tmp_path}",
        "VIGIA_TOPIC_PREFIX": pipeline.prefix,
    }
    return lambda *arguments: CliRunner(env=env).invoke(cli, [str(argument) for argument in arguments])


def test_verify_tells_by_its_exit_code_and_writes_metrics(
    pipeline: AuditedPipeline, vigia: Run, tmp_path: Path
) -> None:
    pipeline.publish(topics.CASES_ROUTINE, case_event())
    pipeline.run()
    metrics = tmp_path / "audit.prom"
    good = vigia("audit", "verify", "--metrics", metrics)
    assert good.exit_code == 0, good.output
    assert "the chain holds" in good.output
    assert "vigia_audit_verify_broken 0\n" in metrics.read_text()
    pipeline.put(topics.GRADINGS, str(case_event().case_id).encode(), b"a stranger's")
    bad = vigia("audit", "verify", "--json", "--metrics", metrics)
    assert bad.exit_code == 1
    report = json.loads(bad.stdout)
    assert (report["clean"], report["broken"]) == (False, {"foreign": 1})
    assert report["findings"][0]["topic"] == topics.GRADINGS
    assert 'vigia_audit_verify_findings{kind="foreign"} 1\n' in metrics.read_text()
    unable = vigia("audit", "verify", "--prefix", "nowhere.", "--metrics", metrics)
    assert unable.exit_code == 2
    assert unable.output.count("\n") == 1
    assert "vigia_audit_verify_success 0\n" in metrics.read_text()


def test_a_case_is_told_from_its_picture_to_its_answer(pipeline: AuditedPipeline, vigia: Run) -> None:
    case = case_event()
    pipeline.publish(topics.CASES_ROUTINE, case)
    pipeline.run()
    for escalation in pipeline.escalations():
        pipeline.acknowledge(escalation)
    waiting = vigia("case", "show", case.case_id)
    assert "acknowledge: not yet taken up" in waiting.output
    pipeline.run()
    told = vigia("case", "show", case.case_id)
    assert told.exit_code == 0, told.output
    order = [
        "case published",
        "picture file:///pictures/a",
        "stage_3, confidence 0.90",
        "motivo: ",
        "escalation ",
        "acknowledged",
    ]
    assert sorted(order, key=told.output.index) == order
    assert "because: " in told.output
    assert "to answer by" in told.output
    assert "80" not in told.output.split("context given")[1].split("\n")[0]
    assert "because: " not in vigia("case", "show", case.case_id, "--language", "es").output
    whole = json.loads(vigia("case", "show", case.case_id, "--json").stdout)
    assert whole["events"][0]["event"]["context"]["age"] == 80
    assert all(entry["linked"] for entry in whole["audit"]["entries"])
    trail = vigia("audit", "show", case.case_id)
    for word in (
        "ingest",
        "judged:stage_3",
        "graded:urgent",
        "escalated:specialist_review:0",
        "acknowledgement",
        "test-1",
    ):
        assert word in trail.output
    unknown = vigia("case", "show", case_event().case_id)
    assert unknown.exit_code == 1
    assert vigia("audit", "show", case_event().case_id).exit_code == 1


def test_a_case_that_retention_has_deleted_is_told_by_its_audit(pipeline: AuditedPipeline, vigia: Run) -> None:
    case = case_event()
    pipeline.publish(topics.CASES_ROUTINE, case)
    pipeline.run()
    pipeline.rewrite(topics.INFERENCES, [])
    told = vigia("case", "show", case.case_id)
    assert "only the audit tells:" in told.output
    assert "inference: judged:stage_3" in told.output


def test_an_erased_case_is_gone_from_the_audit_and_no_finding(pipeline: AuditedPipeline, vigia: Run) -> None:
    case, other = case_event(), case_event()
    broken = case_event("broken", case.case_id)
    for event in (case, other):
        pipeline.publish(topics.CASES_ROUTINE, event)
    pipeline.run()
    asked = vigia("audit", "erase", case.case_id)
    assert asked.exit_code == 1
    assert "would erase" in asked.output
    assert vigia("audit", "show", case.case_id).exit_code == 0
    done = vigia("audit", "erase", case.case_id, "--yes", "--ground", "court_order")
    assert done.exit_code == 0, done.output
    assert "escalations are not answered" in done.output
    assert f"remains: 1 in {topics.GRADINGS}, until" in done.output
    assert f"remains: picture {broken.image.uri}" in done.output
    assert "erased 20" in vigia("audit", "show", case.case_id).output
    assert json.loads(vigia("audit", "show", case.case_id, "--json").stdout)["entries"] == []
    verified = json.loads(vigia("audit", "verify", "--json").stdout)
    assert (verified["clean"], verified["erased_cases"]) == (True, 1)
    # As it will be once compaction has removed the tombstones and what lay before them.
    left = [m for m in pipeline.read(topics.AUDIT) if m.value() is not None]
    standing = {
        m.key(): m
        for m in left
        if str(case.case_id).encode() not in (m.key() or b"") or b"/control/" in (m.key() or b"")
    }
    pipeline.rewrite(topics.AUDIT, [(m.partition() or 0, m.key(), m.value(), None) for m in standing.values()])
    compacted = json.loads(vigia("audit", "verify", "--json").stdout)
    assert (compacted["clean"], compacted["erased_cases"]) == (True, 1)
    assert compacted["erased"] > 3
    assert "would erase" not in vigia("audit", "erase", case.case_id, "--yes").output
    assert vigia("audit", "show", other.case_id).exit_code == 0


def test_erasing_a_case_deletes_its_values_from_the_record_store_and_nobody_elses(
    pipeline: AuditedPipeline, vigia: Run, tmp_path: Path
) -> None:
    store, cases = RecordStore(f"file://{tmp_path}/{FOLDER}"), [case_event().case_id for _ in range(2)]
    for number, (case_id, value) in enumerate([(cases[0], b"own"), (cases[0], b"both"), (cases[1], b"both")]):
        raw = RawRecord(
            topic=topics.CASES_ROUTINE,
            partition=0,
            offset=number,
            timestamp_ms=0,
            key=str(case_id).encode(),
            value=None,
            held=False,
            size=len(value),
            sha256=sha256_hex(value),
        )
        problem = InputProblem(reason="record_too_large", detail="a value")
        made = dead_letter(raw, "inference-routine", problem, stored=store.put(value))
        pipeline.put(topics.DEAD_LETTERS, made.key, made.value, list(made.headers))
    asked = vigia("audit", "erase", cases[0])
    assert (asked.exit_code, "would delete 1 of its values" in asked.output) == (1, True)
    assert len(list(tmp_path.rglob("*.record"))) == 2
    done = vigia("audit", "erase", cases[0], "--yes")
    assert (done.exit_code, "deleted 1 of its values" in done.output) == (0, True), done.output
    assert "remains: 1 values in the record store, which other cases have too" in done.output
    assert [path.read_bytes() for path in tmp_path.rglob("*.record")] == [b"both"]
    assert vigia("audit", "erase", cases[0]).exit_code == 0


def test_dead_letters_are_listed_without_their_content_shown_on_demand_and_redriven(
    pipeline: AuditedPipeline, vigia: Run
) -> None:
    case = case_event("broken")
    pipeline.publish(topics.CASES_ROUTINE, case)
    pipeline.put(topics.CASES_ROUTINE, b"Juana Perez", b"Juana Perez, 80")
    pipeline.run()
    listed = vigia("dead-letters", "list")
    assert listed.exit_code == 0, listed.output
    assert "hash_mismatch" in listed.output
    assert "Juana" not in listed.output
    [letter] = [
        json.loads(line)
        for line in vigia("dead-letters", "list", "--reason", "hash_mismatch", "--json").stdout.splitlines()
    ]
    assert (letter["case_id"], letter["audited"], letter["redriven"]) == (str(case.case_id), True, 0)
    shown = json.loads(vigia("dead-letters", "show", letter["id"]).stdout)
    assert shown["topic"] == topics.CASES_ROUTINE
    assert "payload" not in shown
    payload = json.loads(vigia("dead-letters", "show", letter["id"], "--payload").stdout)["payload"]
    assert payload["event"]["context"]["age"] == 80
    assert vigia("dead-letters", "redrive").exit_code == 2
    dry = vigia("dead-letters", "redrive", "--since", "1h", "--dry-run")
    assert "2 would be redriven" in dry.output
    assert "1 redriven" in vigia("dead-letters", "redrive", letter["id"]).output
    pipeline.inference.repaired = True
    pipeline.run()
    assert any(isinstance(e, EscalationEvent) and e.case_id == case.case_id for e in pipeline.escalations())
    rest = vigia("dead-letters", "redrive", "--all")
    assert "1 already redriven" in rest.output
    assert "1 redriven" in rest.output
    assert "dead letter of inference-routine" in vigia("case", "show", case.case_id).output
    assert vigia("dead-letters", "show", "0/999").exit_code == 1
    assert vigia("dead-letters", "show", "somewhere").exit_code == 2
