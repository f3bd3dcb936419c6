"""What somebody with access to the registry can do to it, and what puts it right again."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress

from schemas.errors import ContractError
from schemas.registry import subject_of
from schemas.serde import Serde
from streams import topics

#: A schema that no event of ours can be read with.
FOREIGN = {"type": "record", "name": "Vandal", "namespace": "somebody.else", "fields": [{"name": "x", "type": "long"}]}
_TIMEOUT_S = 10.0


def _delete(url: str) -> None:
    for topic, _ in topics.RECORDS:
        for query in ("", "?permanent=true"):
            # A registry that keeps no deleted subjects has nothing left to delete the second time.
            with suppress(urllib.error.HTTPError):
                _ask("DELETE", f"{url}/subjects/{subject_of(topic)}{query}")


def _spoil(url: str) -> None:
    for topic, _ in topics.RECORDS:
        _ask("PUT", f"{url}/config/{subject_of(topic)}", {"compatibility": "NONE"})
        _ask("POST", f"{url}/subjects/{subject_of(topic)}/versions", {"schema": json.dumps(FOREIGN)})


#: What is done to it → how, given its URL. Raises OSError.
DEEDS: Mapping[str, Callable[[str], None]] = {
    "all subjects deleted": _delete,
    "compatibility off and a foreign version under every subject": _spoil,
}


def mend(url: str) -> bool:
    """What `vigia topics apply` does; whether the registry took it."""
    serde = Serde(url)
    try:
        serde.register_all(topics.RECORDS)
    except ContractError:
        return False
    finally:
        serde.close()
    return True


def _ask(method: str, url: str, body: Mapping[str, object] | None = None) -> None:
    request = urllib.request.Request(  # noqa: S310 - our own address on loopback
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
        method=method,
    )
    # A proxy configured in the environment must not be used for loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(request, timeout=_TIMEOUT_S).close()
