"""What answers in the place of a registry, over real sockets: all of it is "away", and no text shows a password."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from schemas import definitions
from schemas.acceptance import carried_id
from schemas.errors import ContractError, RegistryUnavailableError, SchemaNotRegisteredError, UndecodableError
from schemas.events import TickEvent
from schemas.registry import Registry, shown
from schemas.serde import Serde
from schemas.writers import schema_id_of
from tests.unit.schemas import samples

JSON, HTML = "application/vnd.schemaregistry.v1+json", "text/html"
TICKS = "vigia.ticks"
MISSING = b'{"error_code": 40403, "message": "Schema not found"}'
Answer = tuple[int, str, bytes]


@contextmanager
def answering(answer: Callable[[str], Answer]) -> Iterator[str]:
    """An HTTP server on loopback that gives this answer to every path; yields its address with credentials in it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            if status in (301, 302, 307):
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://vigia:SECRETPW@127.0.0.1:{server.server_port}/api?token=SECRETPW"
    finally:
        server.shutdown()
        server.server_close()


#: Enough for whoever looks an id up, not for whoever wants the schema.
HALF = b'{"id": 1}'
NO_REGISTRY = [
    (401, JSON, b'{"error_code": 40101, "message": "Unauthorized"}'),
    (403, JSON, b'{"error_code": 40301, "message": "Forbidden"}'),
    (400, JSON, b"{}"),
    (422, JSON, b'{"error_code": 42201, "message": "Invalid"}'),
    (500, JSON, b'{"error_code": 50001, "message": "Error"}'),
    (503, HTML, b"<html>busy</html>"),
    (302, HTML, b""),
    (404, HTML, b"<html>no such page</html>"),
    (404, JSON, b'{"message": "no such path"}'),
    (200, HTML, b"<html>log in</html>"),
    (200, JSON, b"[]"),
    (200, JSON, b"null"),
    (200, JSON, b""),
    (200, JSON, b"{"),
    (200, JSON, b"{}"),
    (200, JSON, b'{"schema": 5}'),
    (200, JSON, HALF),
    (200, JSON, b"\xff\xfe"),
]


@pytest.mark.parametrize("answer", NO_REGISTRY, ids=lambda answer: f"{answer[0]} {answer[2][:20]!r}")
def test_whatever_is_no_answer_of_a_registry_is_a_registry_that_is_away(answer: Answer) -> None:
    with answering(lambda path: answer) as url:
        serde = Serde(url, timeout_s=2.0, retries=0)
        asked: list[Callable[[], object]] = [lambda: serde.decode(struct.pack(">bI", 0, 7) + b"x", TICKS)]
        if answer[2] != HALF:
            asked.append(lambda: serde.encode(samples.TICK_EVENT, TICKS))
        if answer[2] != b"[]":
            asked += [lambda: serde.registry.subjects(7), lambda: serde.registry.versions(TICKS)]
        for ask in asked:
            with pytest.raises(RegistryUnavailableError) as caught:
                ask()
            assert "SECRETPW" not in str(caught.value)
            assert str(caught.value).isprintable()


def test_a_registry_that_says_what_is_missing_is_there() -> None:
    with answering(lambda path: (404, JSON, MISSING)) as url:
        serde = Serde(url, timeout_s=2.0, retries=0)
        with pytest.raises(UndecodableError, match="the registry knows no schema id 7"):
            serde.decode(struct.pack(">bI", 0, 7) + b"x", TICKS)
        with pytest.raises(SchemaNotRegisteredError, match="run `vigia topics apply`"):
            serde.encode(samples.TICK_EVENT, TICKS)


def test_a_worker_starts_when_the_subjects_are_gone_and_others_read_what_it_writes() -> None:
    with answering(lambda path: (404, JSON, MISSING)) as url:
        serde, other = Serde(url, timeout_s=2.0, retries=0), Serde(url, timeout_s=2.0, retries=0)
        line = serde.start([(TICKS, TickEvent)], patience_s=0)
        assert line is not None
        assert "lost the schema of vigia.ticks: run `vigia topics apply`" in line
        assert other.decode(serde.encode(samples.TICK_EVENT, TICKS), TICKS) == samples.TICK_EVENT
        serde.close()


def test_a_worker_starts_with_the_id_that_a_deleted_schema_still_has() -> None:
    schema = json.dumps({"schema": definitions.text("vigia.v1.TickEvent")}).encode()

    def registry(path: str) -> Answer:
        return (200, JSON, schema) if path.partition("?")[0] == "/api/schemas/ids/5" else (404, JSON, MISSING)

    with answering(registry) as url:
        serde = Serde(url.partition("?")[0], timeout_s=2.0, retries=0)
        assert "lost the schema of vigia.ticks" in (serde.start([(TICKS, TickEvent)], patience_s=0) or "")
        assert serde.encode(samples.TICK_EVENT, TICKS)[:5] == struct.pack(">bI", 0, 5)


def test_a_worker_starts_when_the_registry_refuses_it_and_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schemas.serde.LOOK_AGAIN_S", 0.05)
    answers = {"now": (401, JSON, b'{"error_code": 401, "message": "Unauthorized"}')}
    with answering(lambda path: answers["now"]) as url:
        serde = Serde(url, timeout_s=2.0, retries=0)
        line = serde.start([(TICKS, TickEvent)], patience_s=0)
        assert line is not None
        assert "SECRETPW" not in line
        assert "starting with the schemas that this version carries" in line
        assert schema_id_of(serde.encode(samples.TICK_EVENT, TICKS)) == carried_id("vigia.v1.TickEvent")
        answers["now"] = (200, JSON, b'{"subject": "vigia.ticks-value", "id": 9, "version": 1, "schema": "{}"}')
        mended = threading.Event()
        for _ in range(600):
            if serde.encode(samples.TICK_EVENT, TICKS)[:5] == struct.pack(">bI", 0, 9):
                mended.set()
                break
            mended.wait(0.05)
        assert mended.is_set()


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("http://user:pw@registry:8081/api?key=pw#pw", "http://registry:8081/api"),
        ("http://registry:8081", "http://registry:8081"),
        ("http://u:pw@a,https://u:pw@b", "http://a,https://b"),
        ("http://u:p@w@registry", "http://registry"),
        ("http://[pw", "an address that cannot be read"),
    ],
)
def test_an_address_is_shown_without_its_credentials(url: str, safe: str) -> None:
    assert shown(url) == safe


@pytest.mark.parametrize("url", ["vigia:SECRETPW@registry:8081", "", "ftp://vigia:SECRETPW@registry"])
def test_an_address_that_is_none_is_said_without_its_credentials(url: str) -> None:
    with pytest.raises(ContractError) as caught:
        Registry(url)
    assert "SECRETPW" not in str(caught.value)
