"""An address carries how it is reached, and whether it leaves this machine is read off its text alone."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.access.address import KAFKA, ServiceAddress, beyond_loopback, host_of, variables_of


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:9092",
        "localhost:9092,127.8.8.8:1",
        "[::1]:9092",
        "http://localhost:8080/apis",
        " 127.0.0.1:1 , [::1]:2",
    ],
)
def test_loopback(address: str) -> None:
    assert beyond_loopback(address) is None


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("kafka:9092", "kafka"),
        ("127.0.0.1:9092,kafka.hospital:9092", "kafka.hospital"),
        ("10.0.0.7:9092", "10.0.0.7"),
        ("0.0.0.0:9092", "0.0.0.0"),
        ("http://user:pw@registry:8080/x", "registry"),
        ("http://127.0.0.1@registry:8080/x", "registry"),
        ("localhost.hospital:9092", "localhost.hospital"),
        ("PLAINTEXT://kafka:9092", "kafka"),
        ("[2001:db8::1]:9092", "2001:db8::1"),
    ],
)
def test_beyond(address: str, host: str) -> None:
    assert beyond_loopback(address) == host


@given(st.text(max_size=80))
def test_any_text_has_a_host_or_is_its_own(text: str) -> None:
    assert isinstance(host_of(text), str)


def test_it_is_its_text_and_keeps_what_goes_with_it() -> None:
    env = {"VIGIA_KAFKA_SECURITY": " tls ", "VIGIA_KAFKA_CA_FILE": "", "VIGIA_SCHEMA_REGISTRY_USER": "u", "HOME": "/"}
    address = ServiceAddress.found("kafka:9092", KAFKA, env)
    assert address == "kafka:9092"
    assert hash(address) == hash("kafka:9092")
    for same in (address, copy.copy(address), copy.deepcopy(address), pickle.loads(pickle.dumps(address))):
        assert variables_of(same) == {"VIGIA_KAFKA_SECURITY": "tls"}
    assert variables_of("kafka:9092") == {}
