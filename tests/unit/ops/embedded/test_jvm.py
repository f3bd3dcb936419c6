"""Command lines and AOT caches; the training itself is shown by the integration tests."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from ops.embedded import jvm
from ops.embedded.errors import EmbeddedError
from ops.embedded.jvm import KEPT_CACHES, JavaProgram, environment, plain


def program(heap: int = 64) -> JavaProgram:
    return JavaProgram(name="example-1.0", title="Example", max_heap_mib=heap, load=("-jar", "example.jar"))


def train(options: Sequence[str]) -> None:
    (option,) = options
    Path(option.removeprefix("-XX:AOTCacheOutput=")).write_text("classes")


def fail(_: Sequence[str]) -> None:
    raise EmbeddedError("no")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIGIA_CACHE_DIR", str(tmp_path))
    return tmp_path / "aot"


def test_a_program_is_trained_once(cache: Path) -> None:
    first = program().aot_options(train)
    assert first == program().aot_options(fail)
    assert [f"-XX:AOTCache={path}" for path in cache.glob("*.aot")] == list(first)


def test_a_failed_training_only_costs_speed(cache: Path) -> None:
    assert program().aot_options(fail) == ()
    assert not list(cache.glob("*.aot"))


def test_another_heap_needs_another_cache() -> None:
    assert program(64).aot_options(train) != program(128).aot_options(train)


def test_two_checkouts_with_the_same_java_share_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def checkout(name: str, release: str) -> None:
        home = tmp_path / name
        (home / "lib" / "server").mkdir(parents=True)
        for file, text in (("release", release), ("lib/modules", "modules"), ("lib/server/libjvm.so", "jvm")):
            (home / file).write_text(text)
        monkeypatch.setattr(jvm, "java", lambda: home / "bin" / "java")

    checkout("first", "25.0.2")
    first = program().aot_options(train)
    checkout("second", "25.0.2")
    assert first == program().aot_options(fail)
    checkout("third", "25.0.3")
    assert program().aot_options(train) != first


def test_only_the_caches_used_last_are_kept(cache: Path) -> None:
    for age, heap in enumerate(range(64, 64 + KEPT_CACHES + 3)):
        (option,) = program(heap).aot_options(train)
        os.utime(option.removeprefix("-XX:AOTCache="), (1_000 + age, 1_000 + age))
    assert len(list(cache.glob("*.aot"))) == KEPT_CACHES
    assert program(64 + KEPT_CACHES + 2).aot_options(fail)


def test_what_would_reconfigure_a_service_does_not_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Dx=y")
    monkeypatch.setenv("QUARKUS_HTTP_PORT", "8080")
    assert set(environment(tmp_path / "tmp")) <= {"PATH", "HOME", "LC_ALL", "TMPDIR"}


def test_a_folder_with_a_space_or_an_accent_will_do_and_one_with_a_comma_will_not(tmp_path: Path) -> None:
    assert plain(tmp_path / "una carpeta de vigía")
    with pytest.raises(EmbeddedError):
        plain(tmp_path / "a,b")
