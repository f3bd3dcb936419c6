"""`vigia publish` and `vigia consume` against a real broker: what a person sees, and the exit codes of scripts."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from ops.cli import cli
from ops.commands import publish
from schemas.events import CaseEvent, EscalationEvent, Lane
from schemas.serde import Serde
from streams.client import CaseProducer
from tests.integration.client_events import escalation, publish_bytes, publish_escalations
from tests.services import KafkaService, RegistryService

Vigia = Callable[..., Result]


def picture(shade: int = 90) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), (shade, 60, 50)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def serde(registry: RegistryService) -> Iterator[Serde]:
    serde = Serde(registry.url)
    yield serde
    serde.close()


@pytest.fixture
def topics(make_topic: Callable[..., str], serde: Serde, monkeypatch: pytest.MonkeyPatch) -> Mapping[Lane, str]:
    """Lanes of this test's own, so that no stage under test elsewhere finds its cases."""
    names = {lane: make_topic(f"cases.{lane.value}") for lane in (Lane.EMERGENCY, Lane.ROUTINE)}
    serde.register_all([(name, CaseEvent) for name in names.values()])
    monkeypatch.setattr(publish, "CaseProducer", functools.partial(CaseProducer, topics=names))
    return names


@pytest.fixture
def vigia(kafka: KafkaService, registry: RegistryService, tmp_path: Path) -> Vigia:
    env = {
        "VIGIA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "VIGIA_SCHEMA_REGISTRY_URL": registry.url,
        "VIGIA_IMAGE_STORE": f"file://{tmp_path}/store",
        "VIGIA_TOKEN_KEY": "k" * 32,
        "VIGIA_RUN_DIR": str(tmp_path / "run"),
    }

    def run(*arguments: str, stdin: str = "", **changed: str) -> Result:
        return CliRunner().invoke(cli, arguments, input=stdin, env=env | changed)

    return run


def test_a_published_case_is_told_in_one_line_and_read_by_consume(
    vigia: Vigia, topics: Mapping[Lane, str], tmp_path: Path
) -> None:
    (tmp_path / "heel.png").write_bytes(picture())
    said = vigia(
        *("publish", "--image", str(tmp_path / "heel.png"), "--patient-code", "CD-2025-001"),
        *("--context", '{"age": 85, "diabetes": true}', "--analysis-type", "emergency"),
    )
    assert said.exit_code == 0, said.stderr
    (line,) = said.stdout.splitlines()
    read = vigia("consume", topics[Lane.EMERGENCY], "--max", "1", "--timeout", "30", "--json")
    record = json.loads(read.stdout)
    event = record["event"]
    assert (record["record"], event["lane"], event["context"]["age"]) == ("CaseEvent", "emergency", 85)
    assert line == (
        f"case {event['case_id']} is on {record['topic']}[{record['partition']}] at offset {record['offset']}"
    )
    assert "CD-2025-001" not in line + read.stdout


def test_scripts_read_json_and_give_the_code_where_no_process_list_shows_it(
    vigia: Vigia, topics: Mapping[Lane, str], tmp_path: Path
) -> None:
    (tmp_path / "heel.png").write_bytes(picture())
    arguments = ("publish", "--image", str(tmp_path / "heel.png"), "--patient-code", "-", "--json")
    first, second = (json.loads(vigia(*arguments, stdin="CD-2025-001\n").stdout) for _ in range(2))
    assert first["case_id"] == second["case_id"]
    assert first["event_id"] == second["event_id"]
    assert first["topic"] == topics[Lane.ROUTINE]


def test_a_folder_is_published_and_what_is_no_picture_is_told_by_its_number(
    vigia: Vigia, topics: Mapping[Lane, str], tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for shade in range(3):
        (folder / f"{shade}.png").write_bytes(picture(shade * 50))
    (folder / "Rosa.jpg").write_bytes(b"no picture")
    said = vigia("publish", "--dir", str(folder), "--unidentified")
    assert said.exit_code == 2
    assert said.stdout.splitlines()[-1] == "3 of 4 pictures published"
    assert said.stderr == "picture 4 of 4 by name: unsupported_image: not a JPEG, PNG or WebP picture\n"
    assert vigia("publish", "--dir", str(folder), "--unidentified", "--accept-unreadable").exit_code == 0


def test_consume_goes_on_where_a_group_stopped_and_shows_what_cannot_be_decoded(
    vigia: Vigia, kafka: KafkaService, serde: Serde, make_topic: Callable[..., str], unique: str
) -> None:
    topic = make_topic("escalations", partitions=1)
    serde.register_all([(topic, EscalationEvent)])
    publish_escalations(kafka, serde, topic, [escalation(level) for level in range(3)])
    publish_bytes(kafka, topic, b"not ours")
    first = vigia("consume", topic, "--group", unique + "g", "--max", "2", "--timeout", "30")
    assert [line.split("  ")[-2:-1] for line in first.stdout.splitlines()] == [["role=emergency"]] * 2
    second = vigia("consume", topic, "--group", unique + "g", "--timeout", "4", "--json")
    assert second.exit_code == 1
    records = [json.loads(line) for line in second.stdout.splitlines()]
    assert records[0]["event"]["level"] == 2
    assert records[0]["event"]["respond_by"] == "2025-11-24T12:05:00.000000Z"
    assert "Confluent header" in records[1]["error"]


def test_a_topic_that_does_not_exist_is_one_line(vigia: Vigia, unique: str) -> None:
    said = vigia("consume", unique + "nowhere", "--timeout", "5")
    assert said.exit_code == 1
    assert said.stderr == f"Error: topic {unique}nowhere does not exist: run `vigia topics apply`\n"
