"""`vigia schemas`: what a person or a CI job sees of the contract."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ops.cli import cli
from schemas import compatibility, definitions


def vigia(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["schemas", *arguments])


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The contract in a folder that may be changed."""
    shutil.copytree(definitions.AVSC, tmp_path / "avsc")
    shutil.copytree(compatibility.RELEASED, tmp_path / "released")
    monkeypatch.setattr(definitions, "AVSC", tmp_path / "avsc")
    monkeypatch.setattr(compatibility, "AVSC", tmp_path / "avsc")
    monkeypatch.setattr(compatibility, "RELEASED", tmp_path / "released")
    return tmp_path


def break_the_contract(folder: Path) -> None:
    path = folder / "avsc" / "CaseEvent.avsc"
    schema = json.loads(path.read_text())
    schema["fields"].append({"name": "ward", "type": "string", "doc": "Ward."})
    path.write_text(json.dumps(schema))


def test_check_says_what_is_compatible_with_what() -> None:
    result = vigia("check")
    assert result.exit_code == 0
    assert f"{len(definitions.packaged())} types, compatible with 0.1.0" in result.stdout


def test_check_fails_with_a_line_that_names_record_field_and_rule(copied: Path) -> None:
    break_the_contract(copied)
    result = vigia("check")
    assert result.exit_code == 1
    assert result.stderr == "CaseEvent.ward: default: the writer lacks it, and it has no default (reading 0.1.0)\n"


def test_list_shows_every_topic_with_its_record() -> None:
    result = vigia("list")
    assert result.exit_code == 0
    assert "vigia.audit" in result.stdout
    assert "vigia.v1.AuditEntry" in result.stdout


def test_a_release_keeps_the_schemas_for_all_later_checks(copied: Path) -> None:
    assert vigia("release", "0.2.0").exit_code == 0
    kept = {path.name for path in (copied / "released" / "0.2.0").iterdir()}
    assert kept == {path.name for path in definitions.AVSC.iterdir()}


def test_what_was_released_never_changes(copied: Path) -> None:
    result = vigia("release", "0.1.0")
    assert result.exit_code == 1
    assert result.stderr == "Error: 0.1.0 is released already; what was released never changes\n"


def test_an_incompatible_contract_cannot_be_released(copied: Path) -> None:
    break_the_contract(copied)
    result = vigia("release", "0.2.0")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: CaseEvent.ward: default: ")
    assert not (copied / "released" / "0.2.0").exists()


@pytest.mark.parametrize("version", ["next", "1.0", "1.0.x", "../0.2.0"])
def test_a_version_has_three_numbers(copied: Path, version: str) -> None:
    assert vigia("release", version).exit_code == 2


def test_asyncapi_is_written_and_its_drift_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "asyncapi.yaml"
    assert vigia("asyncapi", "--check", "--output", str(page)).exit_code == 1
    assert vigia("asyncapi", "--output", str(page)).exit_code == 0
    assert vigia("asyncapi", "--check", "--output", str(page)).exit_code == 0
    page.write_text(page.read_text() + "\n")
    result = vigia("asyncapi", "--check", "--output", str(page))
    assert result.exit_code == 1
    assert "is not up to date: run `vigia schemas asyncapi`" in result.stderr
