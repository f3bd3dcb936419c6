"""docs/extending.md, "A stage", followed to the letter on a copy: the new stage works like those that were there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import walkthrough
from tests.walkthrough import run

#: What holds all that repeats something of the pipeline, and the layout of the folders.
HELD = (
    "tests/unit/pipeline",
    "tests/unit/schemas/test_definitions.py",
    "tests/unit/schemas/test_asyncapi.py",
    "tests/unit/schemas/test_commands.py",
    "tests/unit/audit/test_verifier.py",
    "tests/unit/ops/test_compose.py",
    "tests/unit/test_layout.py",
)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = walkthrough.followed("A stage", tmp_path_factory.mktemp("copy"))
    run(root, "-m", "ops.contract")
    return root


def test_a_stage_is_eight_files() -> None:
    assert len({change.path for change in walkthrough.changes("A stage")}) <= 8


def test_the_rest_follows_from_its_declaration(copy: Path) -> None:
    run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", *HELD)
    run(copy, "-m", "ruff", "check", "--no-cache", "schemas", "streams", "ops")
    run(copy, "-m", "ruff", "format", "--no-cache", "--check", "schemas", "streams", "ops")
    channels = (copy / "docs/asyncapi.yaml").read_text(encoding="utf-8")
    assert "address: vigia.tissues" in channels
    assert "TissueEvent" in channels
    for page in ("README.md", "docs/architecture.md"):
        assert "─► tissue " in (copy / page).read_text(encoding="utf-8")
    assert "command: [worker, tissue," in (copy / "compose.kafka.yml").read_text(encoding="utf-8")
    assert "|tissue" in (copy / "ops/monitoring/alerts.yml").read_text(encoding="utf-8")


# On a busy machine: a system of its own, and four tests in the copy.
@pytest.mark.timeout(900)
def test_a_case_passes_it_audited_with_its_lag_shown_and_its_transactions_looked_after(copy: Path) -> None:
    run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/integration/new_stage.py", within_s=850)
