"""Finds free ports on loopback that stay free.

A port that the kernel hands out (bind to 0) lies in the range from which it also takes the local ends of connections.
While a broker is down, a client's reconnect attempt can land on the broker's own port, connect to itself and keep it:
the restarted broker then cannot bind. So we choose below that range.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path

from ops.embedded.errors import EmbeddedError

LOOPBACK = "127.0.0.1"
_LOCAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
#: Below lie the ports that people know by heart (9092, 8080, 8081, 9090, 3000).
LOWEST = 10_240


def free_ports(count: int) -> tuple[int, ...]:
    """`count` different loopback ports that can be bound now. Another process may still take one: be ready to retry."""
    highest = _first_ephemeral() - 1
    held: list[socket.socket] = []
    # At random, so that two processes that start together rarely choose the same port.
    candidates = random.SystemRandom().sample(range(LOWEST, highest), k=min(1_000, highest - LOWEST))
    try:
        for port in candidates:
            if len(held) == count:
                break
            probe = socket.socket()
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                probe.close()
            else:
                held.append(probe)
        if len(held) < count:
            raise EmbeddedError(f"no {count} free ports between {LOWEST} and {highest} on {LOOPBACK}")
        return tuple(probe.getsockname()[1] for probe in held)
    finally:
        for probe in held:
            probe.close()


def accepts(port: int, timeout_s: float = 0.2) -> bool:
    """Whether something listens on the loopback port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout_s).close()
    except OSError:
        return False
    return True


def _first_ephemeral() -> int:
    default = 32_768
    try:
        first = int(_LOCAL_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return default
    # Where the kernel hands out nearly all ports, no range lies below: the risk named above remains.
    return first if first >= LOWEST + 1_000 else default
