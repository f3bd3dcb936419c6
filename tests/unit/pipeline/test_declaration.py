"""Everything that has to know the pipeline agrees with streams/pipeline.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ops.contract.repeated import ROOT, Repetition, renewed
from ops.system.programs import PROGRAMS, expected_groups, optional_workers
from schemas.events import PipelineStage
from streams import pipeline, topics
from streams.pipeline import STAGES, StageDeclaration
from streams.stages.build import builder, declaration

ALERTS = {
    rule["alert"]: rule["expr"]
    for group in yaml.safe_load((ROOT / "ops/monitoring/alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}
SERVICES = yaml.safe_load((ROOT / "compose.kafka.yml").read_text(encoding="utf-8"))["services"]

every_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)


def test_names_groups_and_workers_are_unique() -> None:
    assert len({stage.name for stage in STAGES}) == len({stage.arguments for stage in STAGES}) == len(STAGES)


@every_stage
def test_a_stage_reads_and_writes_topics_that_are_declared(stage: StageDeclaration) -> None:
    assert {*stage.reads, *stage.written, *stage.remarks_on} <= set(topics.BY_NAME)
    assert {*stage.passes, *stage.takes_up, *stage.settles} <= set(stage.reads)


@every_stage
def test_a_stage_has_a_folder_or_a_module_that_builds_it(stage: StageDeclaration) -> None:
    assert callable(builder(stage.package).build)
    assert declaration(stage.package, stage.lane) is stage


def test_a_stage_that_is_not_declared_is_not_found() -> None:
    with pytest.raises(ValueError, match="no stage inference without a lane"):
        declaration("inference")


@every_stage
def test_compose_runs_a_worker_of_every_stage(stage: StageDeclaration) -> None:
    command = SERVICES[stage.name]["command"]
    assert tuple(command[: len(stage.arguments)]) == stage.arguments
    assert ("profiles" in SERVICES[stage.name]) == (stage.needs is not None)


@every_stage
def test_alerts_notice_a_stage_without_a_worker(stage: StageDeclaration) -> None:
    matched = re.search(r'consumergroup=~"([^"]+)"', ALERTS["VigiaNobodyConsuming"])
    assert matched is not None
    assert re.fullmatch(matched[1], stage.group)
    matched = re.search(r'consumergroup=~"([^"]+)"', ALERTS["VigiaMetricsAbsent"])
    assert matched is not None
    assert (re.fullmatch(matched[1], stage.group) is not None) == (stage.needs is None)


def test_a_stage_that_somebody_must_set_up_runs_and_is_expected_only_then() -> None:
    assert not optional_workers({})
    assert "vigia-notification" not in expected_groups({})
    env = {"VIGIA_NOTIFY_FILE": "/etc/vigia/targets.yaml"}
    assert [program.arguments for program in optional_workers(env)] == [("worker", "notification")]
    assert expected_groups(env)["vigia-notification"] == tuple(topics.ESCALATIONS.values())
    assert {program.name for program in PROGRAMS if program.is_worker} == {
        stage.name for stage in STAGES if stage.needs is None
    }


def test_every_record_that_a_stage_writes_is_accounted_for_by_one_stage_of_the_audit() -> None:
    assert set(pipeline.COVERED) == set(pipeline.WRITERS)
    assert set(pipeline.INPUTS) <= {topic for stage in STAGES for topic in stage.takes_up}
    named = {*pipeline.WRITERS.values(), *(entry for entries in pipeline.REMARKS.values() for entry in entries)}
    assert named == set(PipelineStage) - {PipelineStage.UNKNOWN}


def test_flows_of_the_topics_are_those_of_the_pipeline() -> None:
    assert set(pipeline.INPUTS) == {topic.name for topic in topics.ALL if topic.flow is topics.Flow.INTO}
    assert {topic.name for topic in topics.ALL if topic.name.endswith(".state")} == {s.state_topic for s in STAGES}


def test_what_hangs_is_looked_for_wherever_a_stage_may_write() -> None:
    for stage in STAGES:
        assert {*stage.written} - {stage.state_topic} <= set(pipeline.WRITTEN)


PAGES = renewed()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_file_that_repeats_something_of_the_pipeline_is_as_it_would_be_written(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == PAGES[path], "write it again with: python -m ops.contract"


def test_a_page_without_room_for_what_it_must_repeat_is_refused() -> None:
    here = Repetition(path="page.md", before="<", after=">", text=lambda: "new")
    assert here.renewed("a <old> b") == "a <new> b"
    for page in ("a b", "<old> <older>"):
        with pytest.raises(ValueError, match=r"page\.md must have one stretch"):
            here.renewed(page)
