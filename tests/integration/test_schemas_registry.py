"""The contract against a real schema registry."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from fastavro.schema import to_parsing_canonical_form

from schemas import definitions
from schemas.compatibility import problems
from schemas.errors import (
    IncompatibleSchemaError,
    RegistryUnavailableError,
    SchemaNotRegisteredError,
    UndecodableError,
)
from schemas.events import CaseEvent, TickEvent
from schemas.registry import COMPATIBILITY, Registry, subject_of
from schemas.serde import Serde
from schemas.writers import schema_id_of
from streams import topics
from tests.services import RegistryService
from tests.unit.schemas import samples

UNUSED_ID = 0x7FFF_FFFF
TOPIC = "vigia.cases.routine"


@pytest.fixture
def cases(registry: RegistryService, unique: str) -> str:
    """A topic of this test's own whose subject has the schema of case events."""
    topic = f"{unique}cases"
    Serde(registry.url).register_all([(topic, CaseEvent)])
    return topic


def test_an_event_written_by_one_process_is_read_by_another(registry: RegistryService, cases: str) -> None:
    value = Serde(registry.url).encode(samples.CASE_EVENT, cases)
    assert value[0] == 0
    assert Serde(registry.url).decode(value, cases) == samples.CASE_EVENT


def test_every_topic_gets_its_schema_under_full_transitive_compatibility(
    registry: RegistryService, unique: str
) -> None:
    pairs = [(unique + topic, record) for topic, record in topics.RECORDS]
    ids = Serde(registry.url).register_all(pairs)
    assert set(ids) == {topic for topic, _ in pairs}
    with Registry(registry.url) as client:
        assert {client.compatibility(subject_of(topic)) for topic in ids} == {COMPATIBILITY}
        assert all(client.versions(subject_of(topic)) == [1] for topic in ids)
    assert Serde(registry.url).register_all(pairs) == ids


def test_the_registry_hands_out_the_documented_schema(registry: RegistryService, cases: str) -> None:
    schema_id = schema_id_of(Serde(registry.url).encode(samples.CASE_EVENT, cases))
    with Registry(registry.url) as client:
        schema = json.loads(client.schema(schema_id) or "")
    own = json.loads(definitions.text("vigia.v1.CaseEvent"))
    assert to_parsing_canonical_form(schema) == to_parsing_canonical_form(own)
    # A registry may change the spelling, but not the documentation, the defaults and the logical types.
    assert {f["name"]: (f["doc"], f.get("default", "none")) for f in schema["fields"]} == {
        f["name"]: (f["doc"], f.get("default", "none")) for f in own["fields"]
    }
    assert schema["fields"][0]["type"] == {"type": "string", "logicalType": "uuid"}


def test_workers_do_not_register(registry: RegistryService, unique: str) -> None:
    with pytest.raises(SchemaNotRegisteredError, match=rf"subject {unique}new-value: run `vigia topics apply`"):
        Serde(registry.url).encode(samples.TICK_EVENT, f"{unique}new")
    with Registry(registry.url) as client:
        assert client.versions(subject_of(f"{unique}new")) == []


def test_a_record_that_is_not_the_topics_own_is_refused(registry: RegistryService, cases: str) -> None:
    with pytest.raises(SchemaNotRegisteredError):
        Serde(registry.url).encode(samples.TICK_EVENT, cases)


def test_an_unknown_schema_id_is_undecodable_and_not_asked_for_twice(registry: RegistryService) -> None:
    serde = Serde(registry.url)
    value = b"\0" + UNUSED_ID.to_bytes(4, "big") + b"x"
    assert not serde.knows(value, TOPIC)
    with pytest.raises(UndecodableError, match=f"no schema id {UNUSED_ID}"):
        serde.decode(value, TOPIC)
    assert serde.knows(value, TOPIC)
    with pytest.raises(UndecodableError, match=f"no schema id {UNUSED_ID}"):
        serde.decode(value, TOPIC)


@pytest.mark.parametrize("value", [b"", b"\0\0\0\0", b"\1\0\0\0\1abc", b'{"lane": "emergency"}', b"plain text"])
def test_bytes_without_the_header_are_undecodable_without_asking(registry: RegistryService, value: bytes) -> None:
    serde = Serde(registry.url)
    assert serde.knows(value, TOPIC)
    with pytest.raises(UndecodableError, match="does not begin with a Confluent header"):
        serde.decode(value, TOPIC)


def test_a_registered_schema_of_someone_else_is_undecodable(registry: RegistryService, unique: str) -> None:
    schema = '{"type": "record", "name": "Parcel", "namespace": "org.example", "fields": []}'
    with Registry(registry.url) as client:
        schema_id = client.register(f"{unique}parcels-value", schema)
    serde = Serde(registry.url)
    for _ in range(2):
        with pytest.raises(UndecodableError, match=rf"schema id {schema_id}: .*org\.example\.Parcel"):
            serde.decode(b"\0" + schema_id.to_bytes(4, "big"), TOPIC)


def test_an_event_of_a_newer_writer_is_read(registry: RegistryService, cases: str) -> None:
    schema = definitions.inline("vigia.v1.CaseEvent", definitions.packaged())
    schema["fields"].append({"name": "ward", "type": ["null", "string"], "default": None})
    with Registry(registry.url) as client:
        schema_id = client.register(subject_of(cases), json.dumps(schema))
    own = Serde(registry.url).encode(samples.CASE_EVENT, cases)
    # The added field comes last: branch 1 of its union, then the text.
    value = b"\0" + schema_id.to_bytes(4, "big") + own[5:] + b"\x02\x06UCI"
    assert Serde(registry.url).decode(value, cases) == samples.CASE_EVENT


def test_the_registry_refuses_an_incompatible_version(registry: RegistryService, cases: str) -> None:
    schema = definitions.inline("vigia.v1.CaseEvent", definitions.packaged())
    schema["fields"].append({"name": "ward", "type": "string"})
    with Registry(registry.url) as client, pytest.raises(IncompatibleSchemaError, match=f"{cases}-value"):
        client.register(subject_of(cases), json.dumps(schema))


def test_a_vandalised_registry_stops_no_start_and_no_reader(registry: RegistryService, cases: str, unique: str) -> None:
    value = Serde(registry.url).encode(samples.CASE_EVENT, cases)
    with httpx2.Client(base_url=registry.url) as http:
        for query in ("", "?permanent=true"):
            assert http.delete(f"/subjects/{subject_of(cases)}{query}").status_code == 200
    serde = Serde(registry.url)
    never_there = f"{unique}never"
    line = serde.start([(cases, CaseEvent), (never_there, TickEvent)], patience_s=1.0)
    assert line is not None
    assert f"has lost the schema of {cases}, {never_there}: run `vigia topics apply`" in line
    assert serde.decode(value, cases) == samples.CASE_EVENT, "what was written before is read"
    assert Serde(registry.url).decode(serde.encode(samples.CASE_EVENT, cases), cases) == samples.CASE_EVENT
    assert Serde(registry.url).decode(serde.encode(samples.TICK_EVENT, never_there), never_there) == samples.TICK_EVENT
    serde.close()


def test_a_compatible_schema_under_another_subject_is_refused(
    registry: RegistryService, cases: str, unique: str
) -> None:
    schema = definitions.inline("vigia.v1.CaseEvent", definitions.packaged())
    schema["fields"].append({"name": f"{unique.strip('.-')}x", "type": ["null", "string"], "default": None})
    with Registry(registry.url) as client:
        schema_id = client.register(f"{unique}anyone-value", json.dumps(schema))
        assert client.subjects(schema_id) == {f"{unique}anyone-value"}
    value = b"\0" + schema_id.to_bytes(4, "big") + Serde(registry.url).encode(samples.CASE_EVENT, cases)[5:] + b"\0"
    with pytest.raises(UndecodableError, match=f"schema id {schema_id} is not registered under {cases}-value"):
        Serde(registry.url).decode(value, cases)
    with Registry(registry.url) as client:
        assert client.register(subject_of(cases), json.dumps(schema)) == schema_id
    assert Serde(registry.url).decode(value, cases) == samples.CASE_EVENT


TICK: dict[str, Any] = definitions.inline("vigia.v1.TickEvent", definitions.packaged())


def tick(*fields: dict[str, Any], now: Any = "long") -> dict[str, Any]:
    return {
        "type": "record",
        "name": "TickEvent",
        "namespace": "vigia.v1",
        "fields": [{"name": "now", "type": now}, *fields],
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (tick(), tick({"name": "a", "type": "int"})),
        (tick(), tick({"name": "a", "type": "int", "default": 0})),
        (tick({"name": "a", "type": "int"}), tick()),
        (tick(), tick(now="int")),
        (tick(), tick(now="double")),
        (tick(), tick(now=["null", "long"])),
        (tick(now=["null", "long"]), tick(now=["null", "long", "string"])),
        (tick({"name": "a", "type": "string"}), tick({"name": "a", "type": "bytes"})),
        (
            tick({"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["u", "x"], "default": "u"}}),
            tick({"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["u", "x", "y"], "default": "u"}}),
        ),
        (
            tick({"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["u"]}}),
            tick({"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["u", "x"]}}),
        ),
    ],
)
def test_the_offline_check_and_the_registry_agree(
    registry: RegistryService, unique: str, old: dict[str, Any], new: dict[str, Any]
) -> None:
    subject = f"{unique}rule-value"
    with Registry(registry.url) as client:
        client.register(subject, json.dumps(old))
        client.set_compatibility(subject)
        try:
            client.register(subject, json.dumps(new))
            accepted = True
        except IncompatibleSchemaError:
            accepted = False
    assert accepted == (not problems(old, new) and not problems(new, old))


def test_a_registry_that_is_not_there_is_told_apart_from_an_unknown_id() -> None:
    with closed_port() as port:
        serde = Serde(f"http://127.0.0.1:{port}/apis/ccompat/v7", timeout_s=0.5, retries=0)
        with pytest.raises(RegistryUnavailableError, match=rf"127\.0\.0\.1:{port}.* does not answer"):
            serde.decode(b"\0\0\0\0\1x", TOPIC)
        with pytest.raises(RegistryUnavailableError):
            serde.encode(samples.TICK_EVENT, "vigia.ticks")
        assert not serde.knows(b"\0\0\0\0\1x", TOPIC)


def test_a_registry_that_hangs_is_given_up_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/apis/ccompat/v7"
        with pytest.raises(RegistryUnavailableError, match="Timeout"):
            Serde(url, timeout_s=0.2, retries=0).decode(b"\0\0\0\0\1x", TOPIC)


def test_what_is_no_registry_says_so(registry: RegistryService) -> None:
    parts = urlsplit(registry.url)
    with pytest.raises(RegistryUnavailableError) as caught:
        Registry(f"{parts.scheme}://{parts.netloc}/ui/nothing").set_compatibility("any")
    assert "\n" not in str(caught.value)


def test_what_was_seen_goes_on_while_the_registry_is_away_and_the_rest_when_it_is_back(
    registry: RegistryService, cases: str, unique: str
) -> None:
    ticks = f"{unique}ticks"
    others = Serde(registry.url)
    others.register_all([(ticks, TickEvent)])
    tick_value = others.encode(samples.TICK_EVENT, ticks)
    with switchable(registry.url) as line:
        serde = Serde(line.url, timeout_s=1.0, retries=0)
        serde.warm_up([(cases, CaseEvent)])
        line.cut()
        value = serde.encode(samples.CASE_EVENT, cases)
        assert serde.knows(value, cases)
        assert serde.decode(value, cases) == samples.CASE_EVENT
        with pytest.raises(RegistryUnavailableError):
            serde.decode(tick_value, ticks)
        line.mend()
        # An id that was just not answered is not asked for again at once.
        deadline = time.monotonic() + 30
        while True:
            try:
                assert serde.decode(tick_value, ticks) == samples.TICK_EVENT
                break
            except RegistryUnavailableError:
                assert time.monotonic() < deadline
                time.sleep(0.1)


class Line:
    """A TCP line to the registry that can be cut and mended; its port stays the same."""

    def __init__(self, target: tuple[str, int], url: str) -> None:
        self._target = target
        self._open = True
        self._ends: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = url.format(port=self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End all connections and refuse new ones."""
        self._open = False
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Let connections through again."""
        self._open = True

    def close(self) -> None:
        """Cut for good."""
        self.cut()
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                if not self._open:
                    near.close()
                    continue
                far = socket.create_connection(self._target)
                self._ends += [near, far]
                threading.Thread(target=self._copy, args=(near, far), daemon=True).start()
                threading.Thread(target=self._copy, args=(far, near), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def switchable(url: str) -> Iterator[Line]:
    parts = urlsplit(url)
    line = Line((parts.hostname or "", parts.port or 80), f"http://127.0.0.1:{{port}}{parts.path}")
    try:
        yield line
    finally:
        line.close()


@contextmanager
def closed_port() -> Iterator[int]:
    """A port on which nothing listens: bound, so that nobody else takes it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
