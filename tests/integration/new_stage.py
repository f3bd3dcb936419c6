"""What `test_new_stage.py` runs on a copy of the tree that has the stage of docs/extending.md; pytest collects it there
only, since its name is none of a test file.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.system.system import Options, System
from schemas.events import GradingKind, Lane, PipelineStage
from schemas.registry import Registry
from streams import pipeline, topics
from streams.audit.auditor import Auditor
from streams.audit.report import Kind
from streams.runtime import hanging
from tests.integration.cases import Publisher
from tests.integration.watcher import Watcher
from tests.programs import VIGIA

TISSUES = "vigia.tissues"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with System(Options(run_dir=tmp_path_factory.mktemp("run")), lambda line: None, env=dict(os.environ)) as running:
        yield running


def vigia(system: System, *arguments: str) -> str:
    done = subprocess.run(
        [*VIGIA, *arguments],
        env={**os.environ, **system.environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_copy_is_what_runs() -> None:
    assert Path(pipeline.__file__).is_relative_to(Path.cwd())


def test_a_case_passes_the_stage_and_its_chain_is_clean(system: System) -> None:
    publisher = Publisher.of(system.settings)
    with Watcher(system.settings) as watcher:
        for lane in Lane.ROUTINE, Lane.EMERGENCY:
            case = publisher.case(lane=lane)
            publisher.send_case(case)
            (inference,) = watcher.of(case.case_id, topics.INFERENCES)
            (tissue,) = watcher.of(case.case_id, TISSUES)
            assert (tissue.source_event_id, tissue.image) == (inference.event_id, case.image)
            watcher.of(case.case_id, topics.GRADINGS)
            audited = watcher.until(
                lambda seen, tissue=tissue: (
                    seen.topic == topics.AUDIT
                    and seen.event.stage is PipelineStage.TISSUE
                    and seen.event.event_id == tissue.event_id
                ),
                what="the audit entry of the new stage",
            )
            assert audited[0].event.topic == TISSUES
    assert "the chain holds" in vigia(system, "audit", "verify")


def test_a_record_that_both_readers_refuse_is_two_dead_letters_with_entries_of_their_own(system: System) -> None:
    value = b"no inference"
    publisher = Publisher.of(system.settings)
    with Watcher(system.settings) as watcher:
        publisher.send(topics.INFERENCES, b"no case", value)
        letters = watcher.until(
            lambda seen: seen.topic == topics.DEAD_LETTERS and seen.value == value, 2, what="two dead letters"
        )
        watcher.settle()
    assert {letter.headers["vigia.errors.stage"] for letter in letters} == {b"grading", b"tissue"}
    report = Auditor(system.settings.bootstrap_servers, Registry(system.settings.schema_registry_url)).verify()
    # No stage wrote the record, and what is said of it hangs on nothing; but each reader's own entries are whole.
    assert {finding.kind for finding in report.findings} == {Kind.FOREIGN, Kind.BROKEN_LINK}
    gradings = [seen.event for seen in watcher.records if seen.topic == topics.GRADINGS]
    requests = [event.event_id for event in gradings if event.kind is GradingKind.QUARANTINE]
    assert len(set(requests)) == len(requests) == 2


def test_its_lag_is_shown(system: System) -> None:
    shown = json.loads(vigia(system, "lag", "--json", "--groups", "vigia-tissue"))
    assert {(entry["group"], entry["topic"]) for entry in shown} == {("vigia-tissue", topics.INFERENCES)}


def test_a_transaction_of_it_that_hangs_is_looked_for_where_it_writes() -> None:
    (stage,) = [stage for stage in pipeline.STAGES if stage.name == "tissue"]
    assert {*stage.written} - {stage.state_topic} <= {*hanging.WRITTEN}
    assert TISSUES in hanging.WRITTEN
