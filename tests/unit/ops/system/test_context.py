"""Which system a command talks to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.system.connect import broker_address
from ops.system.context import (
    RUN_FILE,
    AlreadyRunningError,
    holding,
    load_environment,
    load_settings,
    running_system,
    write_run_file,
)
from ops.system.system import key_file
from schemas.access.errors import AccessError
from streams.settings import SettingsError

TOLD = {
    "VIGIA_BOOTSTRAP_SERVERS": "127.0.0.1:20001",
    "VIGIA_SCHEMA_REGISTRY_URL": "http://127.0.0.1:20002/apis/ccompat/v7",
    "VIGIA_IMAGE_STORE": "file:///run/images",
}


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"XDG_DATA_HOME": str(tmp_path / "share")}


@pytest.fixture
def run_dir(tmp_path: Path, env: dict[str, str]) -> Iterator[Path]:
    """The run folder of a system that is running."""
    with holding(tmp_path / "run", env):
        write_run_file(tmp_path / "run", {**TOLD, "VIGIA_TOKEN_KEY_FILE": str(key_file(tmp_path / "run", "token.key"))})
        yield tmp_path / "run"


def test_the_running_system_is_found_without_variables(run_dir: Path, env: dict[str, str]) -> None:
    settings = load_settings(env)
    assert running_system(env) == run_dir
    assert settings.bootstrap_servers == TOLD["VIGIA_BOOTSTRAP_SERVERS"]
    assert settings.image_store == TOLD["VIGIA_IMAGE_STORE"]
    assert settings.token_key is not None


def test_it_is_found_by_its_folder_too(run_dir: Path) -> None:
    env = {"VIGIA_RUN_DIR": str(run_dir), "XDG_DATA_HOME": "/nowhere"}
    assert load_environment(env)["VIGIA_BOOTSTRAP_SERVERS"] == TOLD["VIGIA_BOOTSTRAP_SERVERS"]


def test_the_environment_comes_first(run_dir: Path, env: dict[str, str]) -> None:
    assert load_environment({**env, "VIGIA_IMAGE_STORE": "s3://bucket"})["VIGIA_IMAGE_STORE"] == "s3://bucket"


def test_a_key_in_the_environment_replaces_the_systems_key(run_dir: Path, env: dict[str, str]) -> None:
    assert load_settings({**env, "VIGIA_TOKEN_KEY": "k" * 32}).token_key == b"k" * 32


def test_nothing_of_it_is_mixed_with_another_cluster(run_dir: Path, env: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="VIGIA_SCHEMA_REGISTRY_URL"):
        load_settings({**env, "VIGIA_BOOTSTRAP_SERVERS": "kafka.hospital:9092"})


def test_how_a_service_is_reached_goes_with_its_address(run_dir: Path, env: dict[str, str]) -> None:
    foreign = {"VIGIA_KAFKA_SECURITY": "tls", "VIGIA_SCHEMA_REGISTRY_CA_FILE": "/nowhere"}
    assert load_environment({**env, **foreign}).keys().isdisjoint(foreign)
    named = {**foreign, "VIGIA_BOOTSTRAP_SERVERS": "kafka.hospital:9092"}
    assert load_environment({**env, **named})["VIGIA_KAFKA_SECURITY"] == "tls"
    assert "VIGIA_SCHEMA_REGISTRY_CA_FILE" not in load_environment({**env, **named})


def test_plaintext_beyond_this_machine_is_refused_unless_named(env: dict[str, str]) -> None:
    away = {
        **env,
        "VIGIA_BOOTSTRAP_SERVERS": "kafka.hospital:9092",
        "VIGIA_SCHEMA_REGISTRY_URL": "http://registry.hospital:8080/api",
    }
    with pytest.raises(AccessError, match="VIGIA_KAFKA_SECURITY"):
        load_settings(away)
    with pytest.raises(AccessError, match="VIGIA_KAFKA_SECURITY"):
        broker_address(away)
    away["VIGIA_KAFKA_SECURITY"] = "plaintext"
    assert broker_address(away) == "kafka.hospital:9092"
    with pytest.raises(AccessError, match="VIGIA_SCHEMA_REGISTRY_SECURITY"):
        load_settings(away)
    away["VIGIA_SCHEMA_REGISTRY_SECURITY"] = "plaintext"
    assert load_settings(away).schema_registry_url == away["VIGIA_SCHEMA_REGISTRY_URL"]


def test_what_a_crash_left_is_not_believed(tmp_path: Path, env: dict[str, str]) -> None:
    crashing = (
        "import os, sys; from pathlib import Path; from ops.system.context import holding, write_run_file\n"
        "with holding(Path(sys.argv[1])):\n"
        "    write_run_file(Path(sys.argv[1]), {'VIGIA_BOOTSTRAP_SERVERS': 'x:1'})\n"
        "    os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", crashing, tmp_path / "run"], env=env, check=False)
    assert (tmp_path / "run" / RUN_FILE).exists()
    assert running_system(env) is None
    with pytest.raises(SettingsError, match="vigia up"):
        load_settings(env)


def test_after_a_stop_there_is_no_system(tmp_path: Path, env: dict[str, str]) -> None:
    with holding(tmp_path / "run", env):
        write_run_file(tmp_path / "run", TOLD)
    assert running_system(env) is None
    assert not (tmp_path / "run" / RUN_FILE).exists()


def test_of_two_systems_the_newer_is_found_and_then_the_older_again(
    run_dir: Path, env: dict[str, str], tmp_path: Path
) -> None:
    with holding(tmp_path / "other", env):
        write_run_file(tmp_path / "other", TOLD)
        assert running_system(env) == tmp_path / "other"
    assert running_system(env) == run_dir


def test_two_systems_do_not_share_a_folder(run_dir: Path, env: dict[str, str]) -> None:
    with pytest.raises(AlreadyRunningError, match="--run-dir"), holding(run_dir, env):
        pass
    assert running_system(env) == run_dir


def test_the_key_is_the_owners_alone_and_is_kept(tmp_path: Path) -> None:
    path = key_file(tmp_path, "token.key")
    key = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(key.strip()) >= 32
    assert key_file(tmp_path, "token.key").read_bytes() == key


def test_the_run_file_is_the_owners_alone(run_dir: Path) -> None:
    assert (run_dir / RUN_FILE).stat().st_mode & 0o777 == 0o600
