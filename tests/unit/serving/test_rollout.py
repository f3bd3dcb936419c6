"""Orders about models, as values; and sets of models that are loaded whole or not at all."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference import versions as registry
from inference.predictor import Predictor
from schemas.events import ModelAction, ModelControlEvent
from streams.serving.model_set import ModelSet, load_set
from streams.serving.rollout import ACTIVE, CANARY, SHADOW, Rollout, is_canary, role_of

HASH = "0" * 64


def order(action: ModelAction, version: str = "lpp-1-0123456789", share: float = 1.0) -> ModelControlEvent:
    return ModelControlEvent(
        event_id=uuid4(), action=action, model_version=version, share=share, decided_at=datetime.now(UTC)
    )


def test_each_order_stands_until_the_next_of_its_kind() -> None:
    rollout = Rollout()
    for action, version in ((ModelAction.PROMOTE, "a"), (ModelAction.CANARY, "b"), (ModelAction.SHADOW, "c")):
        rollout = rollout.after(role_of(action) or "", order(action, version), HASH)
    assert [(role, each.version) for role, each in rollout.orders()] == [(ACTIVE, "a"), (CANARY, "b"), (SHADOW, "c")]
    rollout = rollout.after(ACTIVE, order(ModelAction.ROLLBACK, "z"), HASH)
    assert rollout.active is not None
    assert rollout.active.version == "z"


def test_clear_ends_what_its_key_names_and_nothing_else() -> None:
    rollout = Rollout().after(CANARY, order(ModelAction.CANARY), HASH).after(ACTIVE, order(ModelAction.PROMOTE), HASH)
    cleared = rollout.after(CANARY, order(ModelAction.CLEAR, "none"), HASH)
    assert cleared.canary is None
    assert cleared.active == rollout.active
    assert rollout.after(ACTIVE, order(ModelAction.CLEAR, "none"), HASH) == rollout


@pytest.mark.parametrize("key", ["", CANARY, "shadows", SHADOW])
def test_an_order_under_the_wrong_key_changes_nothing(key: str) -> None:
    assert Rollout().after(key, order(ModelAction.PROMOTE), HASH) == Rollout()


@given(st.uuids(), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_keeps_every_case_of_a_smaller_one(case_id: UUID, one: float, other: float) -> None:
    small, large = sorted((one, other))
    assert not is_canary(case_id, "v", small) or is_canary(case_id, "v", large)
    assert not is_canary(case_id, "v", 0.0)
    assert is_canary(case_id, "v", 1.0)


def test_a_fifth_of_the_cases_is_about_a_fifth_and_another_version_gets_others() -> None:
    cases = [UUID(int=number * 7919) for number in range(5_000)]
    first = {case for case in cases if is_canary(case, "one", 0.2)}
    second = {case for case in cases if is_canary(case, "two", 0.2)}
    assert 0.17 < len(first) / len(cases) < 0.23
    assert first != second


def variant(directory: Path, name: str) -> str:
    """Another version in the folder: the packaged one with a slightly different temperature."""
    source = registry.PACKAGED / registry.active()
    folder = directory / f"draft-{name}"
    shutil.copytree(source, folder)
    settings = json.loads((folder / "model.json").read_text())
    settings["temperature"] = settings["temperature"] * 1.01
    (folder / "model.json").write_text(json.dumps(settings))
    version = registry.seal(folder, name, directory)
    shutil.rmtree(folder)
    return version


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    models = tmp_path / "models"
    shutil.copytree(registry.PACKAGED, models)
    return models


def loader(directory: Path, loaded: list[str | None]):  # type: ignore[no-untyped-def]
    def load(version: str | None) -> Predictor:
        loaded.append(version)
        return Predictor.load(version, directory, batch_size=1)

    return load


def test_what_stands_is_not_loaded_again(directory: Path) -> None:
    loaded: list[str | None] = []
    load = loader(directory, loaded)
    rollout = Rollout().after(ACTIVE, order(ModelAction.PROMOTE, registry.active(directory)), HASH)
    first, changes = load_set(rollout, ModelSet(), load)
    assert [change.outcome for change in changes] == ["model_loaded:active"]
    new = variant(directory, "next")
    second, changes = load_set(rollout.after(SHADOW, order(ModelAction.SHADOW, new), HASH), first, load)
    assert loaded == [registry.active(directory), new]
    assert second.active is first.active
    assert [change.outcome for change in changes] == ["model_loaded:shadow"]


def test_a_tampered_version_is_refused_and_the_old_one_stays(directory: Path) -> None:
    load = loader(directory, [])
    first, _ = load_set(Rollout(), ModelSet(), load)
    bad = variant(directory, "bad")
    weights = directory / bad / "model.tflite"
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00\x01")
    rollout = Rollout().after(ACTIVE, order(ModelAction.PROMOTE, bad), HASH)
    second, changes = load_set(rollout, first, load)
    assert second.active is first.active
    assert [change.outcome for change in changes] == ["model_refused:active"]


def test_a_missing_canary_is_left_out_and_the_active_one_judges_all(directory: Path) -> None:
    rollout = Rollout().after(CANARY, order(ModelAction.CANARY, "lpp-9-0123456789", share=1.0), HASH)
    made, changes = load_set(rollout, ModelSet(), loader(directory, []))
    assert [change.outcome for change in changes] == ["model_refused:canary"]
    assert made.judge_of(uuid4()) is made.active is not None


def test_the_canary_judges_its_share_and_the_active_one_the_rest(directory: Path) -> None:
    new = variant(directory, "next")
    rollout = Rollout().after(CANARY, order(ModelAction.CANARY, new, share=0.3), HASH)
    made, _ = load_set(rollout, ModelSet(), loader(directory, []))
    cases = [UUID(int=number * 104_729) for number in range(500)]
    by_canary = {case for case in cases if made.judge_of(case) is made.canary}
    assert by_canary == {case for case in cases if is_canary(case, new, 0.3)}
