"""A model version is what its name says it is, or it is not loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inference import versions as registry
from inference.findings import CLASSES
from inference.versions import RegistryError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of a version, with stand-ins for the weights: the registry never looks into them."""
    path = tmp_path / "made"
    path.mkdir()
    (path / "model.json").write_text(json.dumps({"classes": list(CLASSES), "side": 128}), encoding="utf-8")
    for name in ("model.tflite", "model.keras", "rejection.npz"):
        (path / name).write_bytes(name.encode() * 10)
    return path


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def test_a_sealed_version_is_verified_and_named_after_its_content(folder: Path, models: Path) -> None:
    version = registry.seal(folder, "lpp-1", models)
    bundle = registry.verify(version, models)
    assert bundle.version == version == f"lpp-1-{bundle.sha256[:10]}"
    assert bundle.classes == CLASSES
    assert registry.versions(models) == [version]


def test_sealing_the_same_content_again_gives_the_same_version(folder: Path, models: Path) -> None:
    assert registry.seal(folder, "lpp-1", models) == registry.seal(folder, "lpp-1", models)
    assert len(registry.versions(models)) == 1


def test_other_weights_make_another_version(folder: Path, models: Path) -> None:
    first = registry.seal(folder, "lpp-1", models)
    (folder / "model.tflite").write_bytes(b"other")
    assert registry.seal(folder, "lpp-1", models) != first


@pytest.mark.parametrize("name", ["model.json", "model.tflite", "model.keras", "rejection.npz"])
def test_a_changed_file_is_refused_by_name(folder: Path, models: Path, name: str) -> None:
    version = registry.seal(folder, "lpp-1", models)
    with (models / version / name).open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(RegistryError, match=f"{name} was changed") as caught:
        registry.load(version, models)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_foreign_file_are_refused(folder: Path, models: Path) -> None:
    version = registry.seal(folder, "lpp-1", models)
    (models / version / "extra.py").write_text("print()", encoding="utf-8")
    with pytest.raises(RegistryError, match=r"extra\.py is not in the manifest"):
        registry.verify(version, models)
    (models / version / "extra.py").unlink()
    (models / version / "model.keras").unlink()
    with pytest.raises(RegistryError, match=r"model\.keras is missing"):
        registry.verify(version, models)


def test_a_tampered_model_with_a_rewritten_manifest_is_found_out_by_its_name(folder: Path, models: Path) -> None:
    version = registry.seal(folder, "lpp-1", models)
    (models / version / "model.tflite").write_bytes(b"tampered")
    registry.write_manifest(models / version, version)
    with pytest.raises(RegistryError, match="does not belong to this name"):
        registry.verify(version, models)


def test_a_copy_under_another_name_is_refused(folder: Path, models: Path) -> None:
    version = registry.seal(folder, "lpp-1", models)
    other = "lpp-2-" + version[-10:]
    (models / version).rename(models / other)
    with pytest.raises(RegistryError, match="manifest is for another version"):
        registry.verify(other, models)


@pytest.mark.parametrize(
    "manifest", ["", "{}", "[]", '{"files": 3, "version": "x"}', '{"files": {"a": 1}, "version": "x"}']
)
def test_an_unreadable_manifest_is_one_line(folder: Path, models: Path, manifest: str) -> None:
    version = registry.seal(folder, "lpp-1", models)
    (models / version / "manifest.json").write_text(manifest, encoding="utf-8")
    with pytest.raises(RegistryError):
        registry.verify(version, models)


@pytest.mark.parametrize("version", ["../../etc-0123456789", "..", "", "lpp-1", "/tmp/x-0123456789", "LPP-0123456789"])
def test_a_version_cannot_name_a_folder_outside(models: Path, version: str) -> None:
    with pytest.raises(RegistryError, match="not a model version"):
        registry.verify(version, models)


def test_other_classes_are_refused(folder: Path, models: Path) -> None:
    (folder / "model.json").write_text(json.dumps({"classes": list(reversed(CLASSES))}), encoding="utf-8")
    version = registry.seal(folder, "lpp-1", models)
    with pytest.raises(RegistryError, match="classes"):
        registry.verify(version, models)


def test_promotion_and_rollback_go_one_step_each(folder: Path, models: Path) -> None:
    first = registry.seal(folder, "lpp-1", models)
    (folder / "model.tflite").write_bytes(b"better")
    second = registry.seal(folder, "lpp-2", models)
    with pytest.raises(RegistryError, match="no active model"):
        registry.active(models)
    registry.promote(first, models)
    registry.promote(second, models)
    registry.promote(second, models)
    assert registry.load(directory=models).version == second
    assert registry.rollback(models).version == first
    assert registry.active(models) == first
    with pytest.raises(RegistryError, match="no earlier model"):
        registry.rollback(models)


def test_a_broken_version_is_not_promoted_and_the_old_one_stays(folder: Path, models: Path) -> None:
    first = registry.seal(folder, "lpp-1", models)
    registry.promote(first, models)
    (folder / "model.tflite").write_bytes(b"broken")
    second = registry.seal(folder, "lpp-2", models)
    (models / second / "model.tflite").write_bytes(b"")
    with pytest.raises(RegistryError):
        registry.promote(second, models)
    assert registry.active(models) == first


def test_a_failed_sealing_leaves_nothing_behind(folder: Path, models: Path) -> None:
    (folder / "model.keras").unlink()
    with pytest.raises(RegistryError, match=r"model\.keras"):
        registry.seal(folder, "lpp-1", models)
    assert not models.exists() or list(models.iterdir()) == []
