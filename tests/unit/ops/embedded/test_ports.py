"""Ports that are free, and stay free while a broker is down."""

from __future__ import annotations

import socket
from pathlib import Path

from ops.embedded.ports import LOOPBACK, LOWEST, accepts, free_ports


def test_ports_are_different_and_can_be_bound() -> None:
    ports = free_ports(6)
    assert len(set(ports)) == 6
    for port in ports:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, port))


def test_ports_lie_below_those_that_clients_are_given() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    if first < LOWEST + 1_000:
        first = 32_768
    assert all(LOWEST <= port < first for port in free_ports(20))


def test_a_port_in_use_is_not_given() -> None:
    with socket.socket() as held:
        held.bind((LOOPBACK, free_ports(1)[0]))
        assert held.getsockname()[1] not in free_ports(200)


def test_accepts_tells_a_listener_from_silence() -> None:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        port = listener.getsockname()[1]
        assert not accepts(port)
        listener.listen()
        assert accepts(port)
