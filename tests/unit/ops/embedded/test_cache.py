"""The cache is found for every kind of user, and never in a place that another user prepared."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ops.embedded.cache import cache_dir, exclusive
from ops.embedded.errors import EmbeddedError


def test_the_variable_comes_first(tmp_path: Path) -> None:
    env = {"VIGIA_CACHE_DIR": str(tmp_path / "chosen"), "XDG_CACHE_HOME": str(tmp_path / "xdg")}
    assert cache_dir(env) == tmp_path / "chosen"


def test_then_the_desktop_standard(tmp_path: Path) -> None:
    assert cache_dir({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "vigia"


def test_a_user_without_a_home_gets_a_private_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "file").touch()
    folder = cache_dir({"XDG_CACHE_HOME": str(tmp_path / "file")})
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o077 == 0


def test_a_temporary_folder_that_others_could_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "file").touch()
    env = {"XDG_CACHE_HOME": str(tmp_path / "file")}
    cache_dir(env).chmod(0o777)
    with pytest.raises(EmbeddedError, match="not yours alone"):
        cache_dir(env)


def test_a_lock_keeps_another_process_out_until_its_holder_dies(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from ops.embedded.cache import exclusive\n"
            "with exclusive(Path(sys.argv[1])): print('held', flush=True); time.sleep(300)",
            lock,
        ],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == b"held\n"
    try_it = "import fcntl, sys\nwith open(sys.argv[1]) as f: fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)"
    assert subprocess.run([sys.executable, "-c", try_it, lock], capture_output=True, check=False).returncode != 0
    holder.kill()
    holder.wait()
    with exclusive(lock):
        pass
