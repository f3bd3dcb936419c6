"""Where things are and how big they are: read once from the environment, handed down as one value.

No secret has a default: the token key comes from `VIGIA_TOKEN_KEY` or the file named by `VIGIA_TOKEN_KEY_FILE`, the
canary's key from `VIGIA_CANARY_KEY` or `VIGIA_CANARY_KEY_FILE`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from schemas.access.address import KAFKA, REGISTRY, ServiceAddress
from schemas.errors import OneLineError

#: MINSAL hospitals write `CD-2025-001`; others differ, so the pattern is a setting (`VIGIA_PATIENT_CODE_PATTERN`).
DEFAULT_PATIENT_CODE_PATTERN = r"[A-Z]{2,12}-\d{4}-\d{3}"


class SettingsError(OneLineError, ValueError):
    """A setting is missing or cannot be used; the message names the variable and says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a process must know of its surroundings."""

    #: A `ServiceAddress`: how the brokers are reached goes with it (docs/security.md).
    bootstrap_servers: str
    #: A `ServiceAddress` likewise.
    schema_registry_url: str = field(repr=False)
    #: fsspec URL below which new pictures are written.
    image_store: str
    #: fsspec URLs below which pictures may be read; anything else is refused.
    image_roots: tuple[str, ...]
    #: More of them, below which addresses are not made of hashes: a name there goes on to every topic.
    image_named_roots: tuple[str, ...] = ()
    patient_code_pattern: str = DEFAULT_PATIENT_CODE_PATTERN
    partitions: int = 4
    replication: int = 1
    #: None: the models that the package ships.
    model_dir: Path | None = None
    #: Draw where the model looked and store it beside the picture (`VIGIA_HEAT_MAPS=off` saves milliseconds per case).
    heat_maps: bool = True
    #: None: the policy that the package ships.
    policy_file: Path | None = None
    #: Apprise targets of each channel (docs/escalations.md); None: nobody is notified.
    notify_file: Path | None = None
    #: Key of the HMAC that turns patient codes into tokens; None where the process needs none.
    token_key: bytes | None = field(default=None, repr=False)
    #: Key of the proof that a synthetic case is the canary's; None: no synthetic case is believed.
    canary_key: bytes | None = field(default=None, repr=False)

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Settings:
        """Settings from `VIGIA_*` variables. Raises SettingsError naming the variable that is missing or wrong."""
        store = env.get("VIGIA_IMAGE_STORE") or f"file://{data_dir(env) / 'images'}"
        return cls(
            bootstrap_servers=ServiceAddress.found(_required(env, "VIGIA_BOOTSTRAP_SERVERS"), KAFKA, env),
            schema_registry_url=ServiceAddress.found(_required(env, "VIGIA_SCHEMA_REGISTRY_URL"), REGISTRY, env),
            image_store=store,
            image_roots=_list(env, "VIGIA_IMAGE_ROOTS") or (store,),
            image_named_roots=_list(env, "VIGIA_IMAGE_NAMED_ROOTS"),
            patient_code_pattern=env.get("VIGIA_PATIENT_CODE_PATTERN") or DEFAULT_PATIENT_CODE_PATTERN,
            partitions=_positive(env, "VIGIA_PARTITIONS", 4),
            replication=_positive(env, "VIGIA_REPLICATION", 1),
            model_dir=_path(env, "VIGIA_MODEL_DIR"),
            policy_file=_path(env, "VIGIA_POLICY_FILE"),
            notify_file=_path(env, "VIGIA_NOTIFY_FILE"),
            heat_maps=_switch(env, "VIGIA_HEAT_MAPS", default=True),
            token_key=_key(env, "VIGIA_TOKEN_KEY", "token"),
            canary_key=_key(env, "VIGIA_CANARY_KEY", "canary's"),
        )


def data_dir(env: Mapping[str, str] = os.environ) -> Path:
    """Folder for what must outlive a run (pictures): `$XDG_DATA_HOME/vigia`, or `~/.local/share/vigia`."""
    base = env.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "vigia"


def _required(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "").strip()
    if not value:
        raise SettingsError(f"{name} is not set: start the embedded services with `vigia up`, or point it at yours")
    return value


def _list(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in env.get(name, "").split(",") if part.strip())


def _positive(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, "").strip()
    if not text:
        return default
    if not text.isdigit() or int(text) == 0:
        raise SettingsError(f"{name} must be a positive whole number")
    return int(text)


def _switch(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = env.get(name, "").strip().lower()
    if text not in ("", "on", "off"):
        raise SettingsError(f"{name} must be on or off")
    return default if not text else text == "on"


def _path(env: Mapping[str, str], name: str) -> Path | None:
    text = env.get(name, "").strip()
    return Path(text) if text else None


def _key(env: Mapping[str, str], name: str, whose: str) -> bytes | None:
    if env.get(name):
        key = env[name].encode()
    elif env.get(f"{name}_FILE"):
        path = Path(env[f"{name}_FILE"])
        try:
            key = path.read_bytes().strip()
        except OSError as error:
            raise SettingsError(f"{name}_FILE cannot be read: {error.strerror}") from None
    else:
        return None
    # Below 32 bytes the key, not the hash, would be the weak part of HMAC-SHA-256 (RFC 2104, section 3).
    if len(key) < 32:
        raise SettingsError(f"the {whose} key must have at least 32 bytes (make one with: openssl rand -hex 32)")
    return key
