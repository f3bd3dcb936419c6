"""Finds the running system that a command talks to: the one that the environment names, else the one of `vigia up`.

`vigia up` writes the variables that its workers need into a file of `NAME=value` lines in its run folder (the run
file), and the folder's path into a file below the user's data folder. It holds a lock for as long as it runs; a run
file whose lock nobody holds was left by a crash, and is ignored.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from schemas.access.address import KAFKA, REGISTRY
from schemas.access.registry import registry_access
from schemas.errors import OneLineError
from streams.broker.security import security_of
from streams.settings import Settings, SettingsError, data_dir

RUN_FILE = "vigia.env"
LOCK_FILE = "up.lock"
#: Seconds that `vigia up` tries to get its lock: a command that checks whether it is held holds it for an instant.
LOCK_PATIENCE_S = 1.0


class AlreadyRunningError(OneLineError):
    """Another `vigia up` runs in the same run folder."""


def load_settings(env: Mapping[str, str] = os.environ) -> Settings:
    """The settings of the system to talk to.

    Raises SettingsError saying what is missing and how to start one, AccessError for how services are to be reached.
    """
    settings = Settings.from_env(load_environment(env))
    security_of(settings.bootstrap_servers)
    registry_access(settings.schema_registry_url)
    return settings


def load_environment(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`env`, completed by the run file of the running system.

    Variables of the environment take precedence. If it names another cluster than the running system's, the run file is
    not used at all: the token key or image store of one system must not be used with the topics of another.
    """
    found = running_system(env)
    if found is None:
        return dict(env)
    run_file = read_run_file(found)
    env = without_others(env)
    named = env.get("VIGIA_BOOTSTRAP_SERVERS")
    if named and named != run_file.get("VIGIA_BOOTSTRAP_SERVERS"):
        return dict(env)
    for key in ("VIGIA_TOKEN_KEY", "VIGIA_CANARY_KEY"):
        if env.get(key):
            run_file.pop(f"{key}_FILE", None)
    return {**run_file, **{name: value for name, value in env.items() if value or name not in run_file}}


def without_others(env: Mapping[str, str]) -> dict[str, str]:
    """The environment without what says how a service is reached that it does not name: that goes with the address."""
    foreign = tuple(
        prefix
        for prefix, address in ((KAFKA, "VIGIA_BOOTSTRAP_SERVERS"), (REGISTRY, "VIGIA_SCHEMA_REGISTRY_URL"))
        if not env.get(address)
    )
    return {name: value for name, value in env.items() if not name.startswith(foreign)}


def default_run_dir(env: Mapping[str, str] = os.environ) -> Path:
    """`$VIGIA_RUN_DIR`, else `run` in the user's data folder. Raises SettingsError for a user without a home."""
    if env.get("VIGIA_RUN_DIR"):
        return Path(env["VIGIA_RUN_DIR"]).absolute()
    return _data_dir(env) / "run"


def running_system(env: Mapping[str, str] = os.environ) -> Path | None:
    """The run folder of the running `vigia up`: that of `$VIGIA_RUN_DIR`, else of several the one started last."""
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
    """Hold the lock of this run folder; other commands find the system once its run file is written.

    Raises AlreadyRunningError when another system holds it.
    """
    # Pictures and clinical context will be stored below: no other user of this machine may read them.
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
    """Write the run file atomically, readable by its owner only; returns its path."""
    path = run_dir / RUN_FILE
    staging = run_dir / f".{RUN_FILE}"
    staging.unlink(missing_ok=True)
    with os.fdopen(os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in sorted(values.items()))
    staging.replace(path)
    return path


def read_run_file(run_dir: Path) -> dict[str, str]:
    """The variables that `write_run_file` wrote."""
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
    # A service account without a home can run a system, too; its other commands need VIGIA_RUN_DIR to find it.
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
    """The folder with one file per running system, which holds the path of its run folder."""
    return _data_dir(env) / "running"
