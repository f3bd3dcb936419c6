"""An address that knows how it is reached, and whether it leaves this machine."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from types import MappingProxyType
from urllib.parse import urlsplit

#: Prefixes of the variables that say how the two services are reached.
KAFKA, REGISTRY = "VIGIA_KAFKA_", "VIGIA_SCHEMA_REGISTRY_"


class ServiceAddress(str):
    """The text of an address (`bootstrap.servers`, or a URL) and the variables under which a client reaches it.

    It is handed down as the text that it is; the one place that makes a client asks it for the rest. A plain text is an
    address without variables: plaintext on this machine, and refused beyond it.
    """

    __slots__ = ("variables",)

    #: Name → value, those of one prefix. They name files and commands; none is a secret.
    variables: Mapping[str, str]

    def __new__(cls, text: str, variables: Mapping[str, str] | None = None) -> ServiceAddress:
        """`variables` are those of the environment that begin with the prefix of the service."""
        made = super().__new__(cls, text)
        made.variables = MappingProxyType(dict(variables or {}))
        return made

    def __reduce__(self) -> tuple[type[ServiceAddress], tuple[str, dict[str, str]]]:
        return ServiceAddress, (str(self), dict(self.variables))

    @classmethod
    def found(cls, text: str, prefix: str, env: Mapping[str, str]) -> ServiceAddress:
        """The address, with the variables of the environment that begin with `prefix` and say something."""
        said = {name: value.strip() for name, value in env.items() if name.startswith(prefix)}
        return cls(text, {name: value for name, value in said.items() if value})


def variables_of(address: str) -> Mapping[str, str]:
    """How it is reached; a plain text says nothing of that."""
    return address.variables if isinstance(address, ServiceAddress) else {}


def beyond_loopback(address: str) -> str | None:
    """The first host of a comma-separated list of addresses that is not this machine's own; None where all are.

    Names are not looked up: who answers for a name is decided elsewhere.
    """
    for each in address.split(","):
        host = host_of(each)
        if not _is_loopback(host):
            return host
    return None


def host_of(address: str) -> str:
    """The host of `host:port` or of a URL, without port, user and password."""
    text = address.strip()
    try:
        return urlsplit(text if "://" in text else f"//{text}").hostname or text
    except ValueError:
        return text


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
