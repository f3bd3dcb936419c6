"""Which broker to watch; lag needs no registry, no store and no key."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ops.system.context import load_environment
from schemas.access.address import KAFKA, ServiceAddress
from streams.broker.security import security_of
from streams.settings import SettingsError


def broker_address(env: Mapping[str, str] = os.environ) -> str:
    """`bootstrap.servers` from the environment or the running system, with how they are reached.

    Raises SettingsError saying how to start one, AccessError for how they are to be reached.
    """
    found = load_environment(env)
    address = found.get("VIGIA_BOOTSTRAP_SERVERS", "").strip()
    if not address:
        raise SettingsError(
            "VIGIA_BOOTSTRAP_SERVERS is not set: start the embedded services with `vigia up`, or point it at yours"
        )
    servers = ServiceAddress.found(address, KAFKA, found)
    security_of(servers)
    return servers
