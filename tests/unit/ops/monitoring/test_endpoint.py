"""The endpoint of a process, over real sockets: whatever connects, its threads and its answers stay."""

from __future__ import annotations

import ast
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from ops.monitoring.endpoint import MOST_CONNECTIONS, MOST_REQUEST_BYTES, Endpoint, PortError

ROOT = Path(__file__).parents[4]
#: How long a condition may take on a busy machine.
PATIENCE_S = 90.0


@pytest.fixture
def registry() -> CollectorRegistry:
    made = CollectorRegistry()
    Counter("seen", "Seen.", registry=made).inc(3)
    return made


@pytest.fixture
def endpoint(registry: CollectorRegistry) -> Iterator[Endpoint]:
    with Endpoint("127.0.0.1", 0, registry=registry) as serving:
        yield serving


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def read_all(connection: socket.socket) -> bytes:
    """What comes until the other side closes; a reset counts as that."""
    found = b""
    try:
        while chunk := connection.recv(65_536):
            found += chunk
    except ConnectionError:
        pass
    return found


def ask(port: int, request: bytes = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n") -> tuple[int, bytes]:
    """Status (0: none came) and body of the answer."""
    with closing(connect(port)) as connection:
        connection.sendall(request)
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]) if head else 0, body


def path(name: str) -> bytes:
    return f"GET {name} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S:.0f} s"
        time.sleep(0.01)


def test_metrics_are_served_in_the_text_format(endpoint: Endpoint) -> None:
    status, body = ask(endpoint.port)
    (family,) = [each for each in text_string_to_metric_families(body.decode()) if each.name == "seen"]
    assert status == 200
    assert family.samples[0].value == 3


def test_a_scraper_that_wants_open_metrics_gets_them(endpoint: Endpoint) -> None:
    accept = b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;version=1.0.0\r\n\r\n"
    assert ask(endpoint.port, accept)[1].endswith(b"# EOF\n")


@pytest.mark.parametrize("name", ["/", "/metrics/", "/table", "/healthz/x", "//metrics", "/../metrics", "metrics"])
def test_only_known_paths_are_answered(endpoint: Endpoint, name: str) -> None:
    assert ask(endpoint.port, path(name))[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "CONNECT", "get"])
def test_only_questions_are_answered(endpoint: Endpoint, method: str) -> None:
    assert ask(endpoint.port, f"{method} /metrics HTTP/1.1\r\n\r\n".encode())[0] == 405


def test_a_head_request_has_no_body(endpoint: Endpoint) -> None:
    assert ask(endpoint.port, b"HEAD /metrics HTTP/1.1\r\n\r\n") == (200, b"")


def test_checks_say_whether_the_process_is_well_and_ready(registry: CollectorRegistry) -> None:
    well = [True]
    with Endpoint(
        "127.0.0.1", 0, registry=registry, health=lambda: (True, "ok"), ready=lambda: (well[0], "no partition yet")
    ) as endpoint:
        assert ask(endpoint.port, path("/healthz")) == (200, b"ok\n")
        assert ask(endpoint.port, path("/readyz"))[0] == 200
        well[0] = False
        assert ask(endpoint.port, path("/readyz")) == (503, b"no partition yet\n")


class Failing(Collector):
    def describe(self) -> list[GaugeMetricFamily]:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        raise RuntimeError("Juana Pérez")


def test_a_collector_or_check_that_fails_ends_nothing_and_shows_no_text_of_its_own(registry: CollectorRegistry) -> None:
    registry.register(Failing())

    def check() -> tuple[bool, str]:
        raise ValueError("Juana Pérez")

    with Endpoint("127.0.0.1", 0, registry=registry, health=check) as endpoint:
        assert ask(endpoint.port) == (500, b"it failed: RuntimeError\n")
        assert ask(endpoint.port, path("/healthz")) == (500, b"it failed: ValueError\n")
        assert ask(endpoint.port, path("/readyz"))[0] == 200


def test_800_half_open_connections_make_no_thread_and_keep_nobody_out(endpoint: Endpoint) -> None:
    before = threading.active_count()
    with ExitStack() as stack:
        for _ in range(800):
            stack.enter_context(closing(connect(endpoint.port))).sendall(b"GET /metr")
        assert threading.active_count() == before
        assert ask(endpoint.port)[0] == 200


def test_of_too_many_connections_the_oldest_ends(endpoint: Endpoint) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(closing(connect(endpoint.port))) for _ in range(MOST_CONNECTIONS + 1)]
        assert read_all(held[0]) == b"", "the oldest is closed"
        held[-1].sendall(path("/readyz"))
        assert read_all(held[-1]).startswith(b"HTTP/1.1 200"), "the newest is not"


def test_a_request_that_does_not_end_is_ended(registry: CollectorRegistry) -> None:
    with (
        Endpoint("127.0.0.1", 0, registry=registry, within_s=0.2) as endpoint,
        closing(connect(endpoint.port)) as connection,
    ):
        connection.sendall(b"GET /metrics HTTP/1.1\r\n")
        assert read_all(connection) == b""


def test_an_answer_that_nobody_reads_is_given_up(registry: CollectorRegistry) -> None:
    # More than the sockets' buffers hold.
    Counter("filling", "x" * 30_000_000, registry=registry)
    with (
        Endpoint("127.0.0.1", 0, registry=registry, within_s=1.0) as endpoint,
        closing(connect(endpoint.port)) as connection,
    ):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.sendall(path("/metrics"))
        until(lambda: endpoint.connections == 1)
        until(lambda: endpoint.connections == 0)


@pytest.mark.parametrize(
    "rest", [b"x" * (MOST_REQUEST_BYTES + 1), b"X-Long: " + b"y" * MOST_REQUEST_BYTES + b"\r\n\r\n"]
)
def test_a_request_that_is_too_long_is_refused(endpoint: Endpoint, rest: bytes) -> None:
    assert ask(endpoint.port, b"GET /metrics HTTP/1.1\r\n" + rest)[0] in (431, 0)
    assert ask(endpoint.port)[0] == 200


def test_a_flood_of_requests_is_answered_from_one_rendering() -> None:
    class Counting(Collector):
        renderings = 0

        def describe(self) -> list[GaugeMetricFamily]:
            return []

        def collect(self) -> Iterator[GaugeMetricFamily]:
            self.renderings += 1
            yield GaugeMetricFamily("renderings", "Renderings.", value=self.renderings)

    counting = Counting()
    registry = CollectorRegistry()
    registry.register(counting)
    with Endpoint("127.0.0.1", 0, registry=registry, reused_s=PATIENCE_S) as endpoint:
        assert {ask(endpoint.port)[0] for _ in range(50)} == {200}
    assert counting.renderings == 1


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=st.binary(max_size=400) | st.text(max_size=60).map(lambda text: f"GET {text} HTTP/1.1".encode()))
def test_whatever_is_asked_the_answer_is_http(endpoint: Endpoint, request: bytes) -> None:
    assert endpoint.answer(request).split(b" ")[1] in (b"200", b"400", b"404", b"405")


def test_a_port_that_is_taken_is_said_in_one_line(endpoint: Endpoint) -> None:
    with pytest.raises(PortError, match=f"cannot serve on 127.0.0.1:{endpoint.port}: Address already in use"):
        Endpoint("127.0.0.1", endpoint.port)


def test_no_process_serves_with_a_thread_per_connection() -> None:
    """The brothers: every port of ours is an Endpoint, but for the one at which a campaign stands in for a registry."""
    for file in {*(ROOT / "ops").rglob("*.py"), *(ROOT / "streams").rglob("*.py")} - {ROOT / "ops/chaos/front.py"}:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
        assert not names & {"start_http_server", "start_wsgi_server", "ThreadingHTTPServer", "HTTPServer"}, file
