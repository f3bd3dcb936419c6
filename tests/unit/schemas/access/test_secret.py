"""Secrets: read when needed, from a file or a command, and shown by nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.access.errors import SecretError
from schemas.access.secret import COMMAND_KEPT_S, Secret

SHOWN_NOWHERE = "S3CR3T"


def test_a_file_is_read_every_time(tmp_path: Path) -> None:
    file = tmp_path / "password"
    secret = Secret("VIGIA_KAFKA_PASSWORD_FILE", str(file))
    file.write_text(" first \r\n")
    assert secret.read() == " first "
    file.write_text("second")
    assert secret.read() == "second"


def test_a_command_is_run_again_when_its_answer_is_old(tmp_path: Path) -> None:
    file = tmp_path / "vault"
    file.write_text("first\n")
    now = 0.0
    secret = Secret("VIGIA_KAFKA_PASSWORD_COMMAND", f"cat '{file}'", clock=lambda: now)
    assert secret.read() == "first"
    file.write_text("second\n")
    now = COMMAND_KEPT_S
    assert secret.read() == "first"
    now = COMMAND_KEPT_S + 1
    assert secret.read() == "second"


def test_a_command_is_no_script(tmp_path: Path) -> None:
    secret = Secret("VIGIA_KAFKA_PASSWORD_COMMAND", f"echo x; touch {tmp_path / 'made'}")
    assert secret.read().startswith("x; touch")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("variable", "source", "line"),
    [
        ("X_FILE", "{folder}/missing", "the file of X_FILE cannot be read: No such file or directory"),
        ("X_FILE", "{folder}", "the file of X_FILE cannot be read: Is a directory"),
        ("X_FILE", "{folder}/empty", "the secret of X_FILE is empty"),
        ("X_FILE", "{folder}/binary", "the file of X_FILE is no text"),
        ("X_COMMAND", f"sh -c 'echo {SHOWN_NOWHERE}; exit 3'", "the command of X_COMMAND ended with exit code 3"),
        ("X_COMMAND", "true", "the secret of X_COMMAND is empty"),
        ("X_COMMAND", "/nowhere/vault", "the command of X_COMMAND cannot be run: No such file or directory"),
        ("X_COMMAND", "echo 'a", "the command of X_COMMAND cannot be run: it is no command line"),
        ("X_COMMAND", "printf '\\377'", "what the command of X_COMMAND gives is no text"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_variable(
    tmp_path: Path, variable: str, source: str, line: str
) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(SecretError) as raised:
        Secret(variable, source.format(folder=tmp_path)).read()
    assert str(raised.value) == line


def test_it_shows_its_variable_only(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(SHOWN_NOWHERE)
    secret = Secret("X_FILE", str(file))
    secret.read()
    assert repr(secret) == str(secret) == "Secret(X_FILE)"
