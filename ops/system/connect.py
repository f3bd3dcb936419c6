"""Which broker to watch; lag needs no registry, no store and no key."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ops.system.context import load_environment
from streams.settings import SettingsError


def broker_address(env: Mapping[str, str] = os.environ) -> str:
    """`bootstrap.servers` from the environment or the running system. Raises SettingsError saying how to start one."""
    address = load_environment(env).get("VIGIA_BOOTSTRAP_SERVERS", "").strip()
    if not address:
        raise SettingsError(
            "VIGIA_BOOTSTRAP_SERVERS is not set: start the embedded services with `vigia up`, or point it at yours"
        )
    return address
