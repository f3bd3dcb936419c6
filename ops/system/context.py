"""Which running system a command talks to: the one that the environment names, else the one of `vigia up`.

`vigia up` writes what its workers need to know into a file of `NAME=value` lines in its run folder, and the folder's
path into a place that every shell of this user can find. It holds a lock for as long as it lives; a file without a
holder is what a crash left, and is not believed.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from streams.settings import Settings, SettingsError, data_dir

RUN_FILE = "vigia.env"
LOCK_FILE = "up.lock"
#: Seconds that `vigia up` tries for its lock: a command that looks whether somebody has it holds it for an instant.
LOCK_PATIENCE_S = 1.0


class AlreadyRunningError(RuntimeError):
    """Another `vigia up` works in the same run folder."""


def load_settings(env: Mapping[str, str] = os.environ) -> Settings:
    """Settings of the system to talk to. Raises SettingsError saying what is missing and how to start one."""
    return Settings.from_env(load_environment(env))


def load_environment(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`env`, completed by the run file of the running system.

    What the environment says comes first. If it names another cluster than the running system's, the run file is not
    used at all: a token key or an image store of the one must not meet the topics of the other.
    """
    found = running_system(env)
    if found is None:
        return dict(env)
    told = read_run_file(found)
    named = env.get("VIGIA_BOOTSTRAP_SERVERS")
    if named and named != told.get("VIGIA_BOOTSTRAP_SERVERS"):
        return dict(env)
    if env.get("VIGIA_TOKEN_KEY"):
        told.pop("VIGIA_TOKEN_KEY_FILE", None)
    return {**told, **{name: value for name, value in env.items() if value or name not in told}}


def default_run_dir(env: Mapping[str, str] = os.environ) -> Path:
    """`$VIGIA_RUN_DIR`, else `run` in the user's data folder. Raises SettingsError for a user without one."""
    if env.get("VIGIA_RUN_DIR"):
        return Path(env["VIGIA_RUN_DIR"]).absolute()
    return _data_dir(env) / "run"


def running_system(env: Mapping[str, str] = os.environ) -> Path | None:
    """Run folder of the `vigia up` that is running: that of `$VIGIA_RUN_DIR`, else the one started last of several."""
    if env.get("VIGIA_RUN_DIR"):
        candidates = [Path(env["VIGIA_RUN_DIR"]).absolute()]
    else:
        try:
            newest_first = sorted(_pointers(env).iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
            candidates = [Path(path.read_text(encoding="utf-8").strip()) for path in newest_first]
        except (OSError, SettingsError):
            return None
    return next((run_dir for run_dir in candidates if _is_running(run_dir)), None)


@contextmanager
def holding(run_dir: Path, env: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Be the one system of this run folder, found by other commands once its run file is written.

    Raises AlreadyRunningError when another one is.
    """
    # Pictures and clinical context will lie below: nobody else on this machine is to read them.
    run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (run_dir / LOCK_FILE).open("a") as lock:
        _acquire(lock.fileno(), run_dir)
        pointer = _point_to(run_dir, env)
        try:
            yield
        finally:
            (run_dir / RUN_FILE).unlink(missing_ok=True)
            if pointer is not None:
                pointer.unlink(missing_ok=True)


def write_run_file(run_dir: Path, values: Mapping[str, str]) -> Path:
    """Write the run file in one step, readable by its owner only; its path."""
    path = run_dir / RUN_FILE
    staging = run_dir / f".{RUN_FILE}"
    staging.unlink(missing_ok=True)
    with os.fdopen(os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in sorted(values.items()))
    staging.replace(path)
    return path


def read_run_file(run_dir: Path) -> dict[str, str]:
    """What `write_run_file` wrote."""
    lines = (run_dir / RUN_FILE).read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _acquire(descriptor: int, run_dir: Path) -> None:
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise AlreadyRunningError(
                    f"vigia is already running in {run_dir}: stop it, or choose another folder with --run-dir"
                ) from None
            time.sleep(0.02)
        else:
            return


def _is_running(run_dir: Path) -> bool:
    return (run_dir / RUN_FILE).is_file() and _is_held(run_dir / LOCK_FILE)


def _is_held(path: Path) -> bool:
    try:
        with path.open() as lock:
            fcntl.flock(lock.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _point_to(run_dir: Path, env: Mapping[str, str]) -> Path | None:
    # A service account without a home still gets a system; its other commands need VIGIA_RUN_DIR to find it.
    with suppress(OSError, SettingsError):
        pointer = _pointers(env) / sha256(str(run_dir).encode()).hexdigest()[:12]
        pointer.parent.mkdir(parents=True, exist_ok=True)
        pointer.write_text(f"{run_dir}\n", encoding="utf-8")
        return pointer
    return None


def _data_dir(env: Mapping[str, str]) -> Path:
    try:
        return data_dir(env)
    except RuntimeError:
        raise SettingsError("this user has no home: set VIGIA_RUN_DIR to a folder of yours") from None


def _pointers(env: Mapping[str, str]) -> Path:
    """Folder with one file a running system, which names its run folder."""
    return _data_dir(env) / "running"
