"""docs/asyncapi.yaml says what runs: every topic, its key, its schema, and where each reference leads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.contract.asyncapi import _DEAD_LETTER_HEADERS, document, render
from schemas import definitions
from schemas.envelope.raw import RawRecord
from streams.runtime.dead_letter import dead_letter
from streams.runtime.records import InputProblem
from streams.topics import ALL, Flow, Topic

PAGE = Path(__file__).parents[3] / "docs" / "asyncapi.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(render())


def test_the_page_in_the_repository_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run `vigia schemas asyncapi`"


def test_yaml_and_values_say_the_same() -> None:
    assert document() == DOCUMENT


@pytest.mark.parametrize("topic", ALL, ids=lambda topic: topic.name)
def test_every_topic_has_a_channel_with_its_key_schema_and_configuration(topic: Topic) -> None:
    (channel,) = (c for c in DOCUMENT["channels"].values() if c["address"] == topic.name)
    (reference,) = channel["messages"].values()
    message = resolve(reference)
    assert message["bindings"]["kafka"]["key"]["description"] == topic.key
    configuration = channel["bindings"]["kafka"]["topicConfiguration"]
    assert configuration["cleanup.policy"] == topic.config["cleanup.policy"].split(",")
    assert configuration.get("retention.ms") == topic.retention_ms
    if topic.record is not None:
        assert message["payload"]["schemaFormat"].startswith("application/vnd.apache.avro")
        assert message["payload"]["schema"] == definitions.inline(
            topic.record.__avro__.full_name, definitions.packaged()
        )


def test_operations_are_told_from_the_side_of_the_pipeline() -> None:
    actions = {
        flow: {
            operation["action"]
            for operation in DOCUMENT["operations"].values()
            if resolve(operation["channel"])["address"] in {topic.name for topic in ALL if topic.flow is flow}
        }
        for flow in Flow
    }
    assert actions == {Flow.INTO: {"receive"}, Flow.OUT_OF: {"send"}, Flow.WITHIN: {"send", "receive"}}


def test_every_reference_leads_somewhere() -> None:
    found = list(references(DOCUMENT))
    assert len(found) > 50
    for reference in found:
        resolve({"$ref": reference})


def test_the_headers_of_dead_letters_are_those_that_the_runtime_writes() -> None:
    raw = RawRecord(topic="t", partition=0, offset=1, timestamp_ms=0, key=b"k", value=b"v", headers=(), reader="tissue")
    written = dead_letter(raw, "grading", InputProblem(reason="r", detail="d"))
    assert {name for name, _ in written.headers} == set(_DEAD_LETTER_HEADERS)


def resolve(reference: dict[str, str]) -> Any:
    node: Any = DOCUMENT
    for step in reference["$ref"].removeprefix("#/").split("/"):
        node = node[step]
    return resolve(node) if isinstance(node, dict) and "$ref" in node else node


def references(node: Any) -> Any:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)
