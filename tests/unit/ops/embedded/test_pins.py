"""The pinned files of the embedded programs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops.embedded.pins import load_program, parse_pins, pinned_versions


def test_a_pin_survives_being_written_and_read() -> None:
    program = load_program("registry", "Apicurio Registry")
    assert parse_pins("# a comment\n\n" + "\n".join(pin.line() for pin in program.files)) == program.files
    assert program.files[0].file_name == f"apicurio-registry-app-{program.version}-all.tar.gz"


def test_the_cache_key_changes_with_any_file() -> None:
    program = load_program("kafka", "Apache Kafka")
    first = program.files[0]
    changed = replace(program, files=(replace(first, sha256="0" * 64), *program.files[1:]))
    assert changed.key != program.key
    assert program.key.startswith("kafka-4.2.2-")


@pytest.mark.parametrize("version", pinned_versions("kafka"))
def test_every_kafka_module_is_of_the_same_release(version: str) -> None:
    program = load_program("kafka", "Apache Kafka", version)
    assert program.version == version
    assert {pin.version for pin in program.files if pin.group == "org.apache.kafka"} == {version}
    assert len({pin.file_name for pin in program.files}) == len(program.files)


def test_one_release_of_each_line_of_kafka_can_be_tried() -> None:
    lines = [version.rpartition(".")[0] for version in pinned_versions("kafka")]
    assert lines == ["4.0", "4.1", "4.2", "4.3", "4.4"]
    assert load_program("kafka", "Apache Kafka").version in pinned_versions("kafka")
