"""The example consumers in examples/, which use public clients only, read what our stages write."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from schemas.events import EscalationEvent
from schemas.serde import Serde
from tests.integration.client_events import escalation, publish_bytes, publish_escalations
from tests.services import KafkaService, RegistryService

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def node_consumer(tmp_path_factory: pytest.TempPathFactory) -> Sequence[str]:
    """The Node example with its packages, installed as a stranger would, in a copy."""
    folder = tmp_path_factory.mktemp("node") / "consumer"
    shutil.copytree(EXAMPLES / "node-consumer", folder, ignore=shutil.ignore_patterns("node_modules"))
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return ["node", str(folder / "consumer.mjs")]


@pytest.fixture(scope="module")
def java_consumer(tmp_path_factory: pytest.TempPathFactory) -> Sequence[str]:
    """The Java example, built by Maven in a copy."""
    folder = tmp_path_factory.mktemp("java") / "consumer"
    shutil.copytree(EXAMPLES / "java-consumer", folder, ignore=shutil.ignore_patterns("target"))
    command = ["mvn", "--batch-mode", "--quiet", "package"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout
    return ["java", "-Xmx128m", "-cp", f"{folder}/target/classes:{folder}/target/lib/*", "example.EscalationConsumer"]


@pytest.fixture
def serde(registry: RegistryService) -> Iterator[Serde]:
    serde = Serde(registry.url)
    yield serde
    serde.close()


@pytest.fixture
def topic(make_topic: Callable[..., str], serde: Serde) -> str:
    name = make_topic("escalations", partitions=1)
    serde.register_all([(name, EscalationEvent)])
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A topic with three committed escalations, an aborted one, and bytes that are none."""

    topic: str
    kept: Sequence[EscalationEvent]
    env: Mapping[str, str]

    def read_by(self, *command: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """What the program prints on stdout and what it complains of on stderr."""
        done = subprocess.run(
            command, env=os.environ | self.env | {"LC_ALL": "C"}, capture_output=True, encoding="utf-8", timeout=90
        )
        assert done.returncode == 0, done.stderr
        # Client libraries log to stderr too, while the group forms.
        complaints = [json.loads(line) for line in done.stderr.splitlines() if '"offset"' in line]
        return [json.loads(line) for line in done.stdout.splitlines()], complaints


@pytest.fixture
def scene(kafka: KafkaService, registry: RegistryService, serde: Serde, topic: str) -> Scene:
    kept = [escalation(level) for level in range(3)]
    publish_escalations(kafka, serde, topic, kept[:2])
    publish_escalations(kafka, serde, topic, [escalation(9)], commit=False)
    publish_bytes(kafka, topic, b"not ours")
    publish_escalations(kafka, serde, topic, kept[2:])
    env = {"VIGIA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "VIGIA_SCHEMA_REGISTRY_URL": registry.url}
    return Scene(topic=topic, kept=kept, env=env)


@pytest.mark.needs("node", "npm")
def test_the_node_example_prints_committed_escalations_and_names_what_it_cannot_read(
    node_consumer: Sequence[str], scene: Scene, unique: str
) -> None:
    lines, complaints = scene.read_by(*node_consumer, "--topic", scene.topic, "--group", unique + "n", "--max", "4")
    assert [line["event"]["event_id"] for line in lines] == [str(event.event_id) for event in scene.kept]
    assert [line["case_id"] for line in lines] == [str(event.case_id) for event in scene.kept]
    first = lines[0]["event"]
    assert (first["type"], first["severity"], first["stage"]) == ("emergency", "emergency", "stage_4")
    assert first["respond_by"] == int(scene.kept[0].respond_by.timestamp() * 1_000_000)
    assert first["reasons"][0]["es"] == "Categoría IV"
    assert [complaint["error"] for complaint in complaints] == ["no Confluent header"]


@pytest.mark.needs("java", "javac", "mvn")
def test_the_java_example_prints_committed_escalations_and_names_what_it_cannot_read(
    java_consumer: Sequence[str], scene: Scene, unique: str
) -> None:
    lines, complaints = scene.read_by(*java_consumer, scene.topic, unique + "j", "4")
    assert [line["event"]["event_id"] for line in lines] == [str(event.event_id) for event in scene.kept]
    assert [line["case_id"] for line in lines] == [str(event.case_id) for event in scene.kept]
    first = lines[0]["event"]
    assert (first["severity"], first["stage"]) == ("emergency", "stage_4")
    assert first["reasons"][0]["es"] == "Categoría IV"
    assert [complaint["error"] for complaint in complaints] == ["no Confluent header"]


@pytest.mark.needs("node", "npm")
def test_what_an_example_has_handled_it_does_not_get_again(
    node_consumer: Sequence[str], scene: Scene, unique: str
) -> None:
    program = (*node_consumer, "--topic", scene.topic, "--group", unique + "n")
    scene.read_by(*program, "--max", "4")
    more = escalation(7)
    publish_escalations(
        KafkaService(bootstrap_servers=scene.env["VIGIA_BOOTSTRAP_SERVERS"], origin="given"),
        Serde(scene.env["VIGIA_SCHEMA_REGISTRY_URL"]),
        scene.topic,
        [more],
    )
    lines, _ = scene.read_by(*program, "--max", "1")
    assert [line["event"]["event_id"] for line in lines] == [str(more.event_id)]
