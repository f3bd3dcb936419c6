"""`vigia publish` refuses what cannot be a case before it talks to anything: one line, exit code 2, no value shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ops.cli import cli

ENV = {
    "VIGIA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
    "VIGIA_SCHEMA_REGISTRY_URL": "http://127.0.0.1:9",
    "VIGIA_TOKEN_KEY": "k" * 32,
    "VIGIA_TOKEN_KEY_FILE": "",
}
# Smallest file that passes for a picture: nothing is stored before all else is checked.
PIXEL = b"\xff\xd8\xff\xd9"


@pytest.fixture
def image(tmp_path: Path) -> str:
    (tmp_path / "picture.jpg").write_bytes(PIXEL)
    return str(tmp_path / "picture.jpg")


def publish(tmp_path: Path, *arguments: str, **env: str) -> Result:
    own = {"VIGIA_RUN_DIR": str(tmp_path / "run"), "VIGIA_IMAGE_STORE": f"file://{tmp_path}/store"}
    return CliRunner().invoke(cli, ["publish", *arguments], env=ENV | own | env)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--patient-code", "CD-2025-1"], "the patient code does not match"),
        (["--unidentified", "--context", '{"age": 400}'], "context.age must lie in 0 to 120"),
        (["--unidentified", "--context", '{"edad": 85}'], "context has a field that is not known, number 1 of 1"),
        (["--unidentified", "--context", "age=85"], "--context: not JSON at character 1"),
        (["--unidentified", "--context", "[85]"], "--context: must be a JSON object"),
        (["--unidentified", "--context", "[" * 100_000], "--context: is nested too deeply"),
        (["--unidentified", "--context", "@nowhere.json"], "--context: the file cannot be read"),
        (["--unidentified", "--captured-at", "yesterday"], "--captured-at: not a time"),
        (["--unidentified", "--captured-at", "2025-11-24T09:30:00"], "captured_at: must have a time zone"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(tmp_path: Path, image: str, arguments: list[str], said: str) -> None:
    result = publish(tmp_path, "--image", image, *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {said}")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "arguments",
    [["--unidentified"], ["--image", "x.jpg"], ["--image", "x.jpg", "--unidentified", "--patient-code", "X"]],
)
def test_usage_asks_for_one_picture_source_and_one_word_on_the_patient(tmp_path: Path, arguments: list[str]) -> None:
    result = publish(tmp_path, *arguments)
    assert result.exit_code == 2
    assert "Usage: cli publish" in result.stderr


def test_without_a_key_publishing_fails_and_says_how_to_make_one(tmp_path: Path, image: str) -> None:
    result = publish(tmp_path, "--image", image, "--patient-code", "CD-2025-001", VIGIA_TOKEN_KEY="")
    assert result.exit_code == 1
    assert "openssl rand -hex 32" in result.stderr


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = publish(tmp_path, "--dir", str(tmp_path / "empty"), "--unidentified")
    assert result.exit_code == 2
    assert "no .jpg, .jpeg, .png or .webp file" in result.stderr


@pytest.mark.parametrize("wrong", [False, True])
def test_a_folder_is_to_be_tried_again_where_something_was_not_there(tmp_path: Path, image: str, wrong: bool) -> None:
    if wrong:
        (tmp_path / "empty.jpg").write_bytes(b"")
    result = publish(tmp_path, "--dir", str(tmp_path), "--unidentified")
    assert "the schema registry at http://127.0.0.1:9 does not answer" in result.stderr
    assert result.exit_code == 1, "as with --image"


def test_a_folder_of_which_every_refused_picture_is_wrong_is_not_to_be_tried_again(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"")
    result = publish(tmp_path, "--dir", str(tmp_path), "--unidentified")
    assert result.exit_code == 2, result.output
