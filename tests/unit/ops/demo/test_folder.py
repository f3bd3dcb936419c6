"""A demo empties its own folder, and only its own."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from ops.commands.demo import own_environment
from ops.demo.folder import MARKER, DemoFolderError, own_folder
from ops.system.context import LOCK_FILE, holding


def test_what_an_earlier_demo_left_is_removed(tmp_path: Path) -> None:
    with own_folder(None, tmp_path / "demo") as folder:
        (folder / "kafka").mkdir()
        (folder / "kafka" / "log").write_text("old")
        (folder / "vigia.env").write_text("old")
    with own_folder(None, tmp_path / "demo") as again:
        assert again == folder
        assert [path.name for path in again.iterdir()] == [MARKER]


def test_two_demos_at_once_have_two_folders(tmp_path: Path) -> None:
    with own_folder(None, tmp_path / "demo") as first:
        (first / "state").write_text("mine")
        with own_folder(None, tmp_path / "demo") as second:
            assert second == tmp_path / "demo-2"
        assert (first / "state").read_text() == "mine"


def test_a_chosen_folder_in_use_is_refused(tmp_path: Path) -> None:
    with own_folder(tmp_path / "x", tmp_path), pytest.raises(DemoFolderError, match="another vigia works"):
        own_folder(tmp_path / "x", tmp_path).__enter__()


def test_a_folder_in_which_vigia_up_looks_at_a_demo_is_left_alone(tmp_path: Path) -> None:
    with own_folder(tmp_path / "x", tmp_path) as folder:
        (folder / "images").mkdir()
    with holding(folder, {"XDG_DATA_HOME": str(tmp_path / "data")}):
        with pytest.raises(DemoFolderError, match="another vigia works"):
            own_folder(folder, tmp_path).__enter__()
        assert (folder / "images").is_dir()


def test_the_run_folder_of_vigia_up_is_never_emptied(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / LOCK_FILE).touch()
    (run_dir / "kafka").mkdir()
    with pytest.raises(DemoFolderError, match="not a demo's"):
        own_folder(run_dir, tmp_path).__enter__()
    assert (run_dir / "kafka").is_dir()


def test_the_folder_is_free_again_afterwards(tmp_path: Path) -> None:
    with own_folder(tmp_path / "x", tmp_path) as folder:
        pass
    with (folder / MARKER).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_demo_is_never_led_to_services_that_are_not_its_own() -> None:
    given = {
        "VIGIA_BOOTSTRAP_SERVERS": "hospital:9092",
        "VIGIA_IMAGE_STORE": "s3://hospital",
        "VIGIA_RUN_DIR": "/srv/vigia",
        "VIGIA_MODEL_DIR": "/models",
        "PATH": "/bin",
    }
    assert own_environment(given) == {"VIGIA_MODEL_DIR": "/models", "PATH": "/bin"}
