"""The HTTP endpoint of a process: `/metrics`, `/healthz` and `/readyz`, within bounds whatever connects to it.

One thread serves all connections. prometheus-client's own server starts a thread per connection and waits for it
without limit: 800 connections that send nothing were 800 threads, and compose allows a container 256. Here a connection
costs a socket and a few kilobytes, and for a few seconds only.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry

from schemas.errors import OneLineError

logger = logging.getLogger(__name__)

#: Connections at one time. Prometheus, a container's probe and a person need three; when there are more, the oldest
#: gives way, so that connections which are held open keep nobody out.
MOST_CONNECTIONS = 32
#: Seconds for a whole request and for its whole answer. Prometheus gives up after 4 (ops/monitoring/prometheus.yml).
WITHIN_S = 5.0
#: Bytes of a request. Prometheus sends about 400; longer ones are answered 431.
MOST_REQUEST_BYTES = 8_192
#: An answer is given again within this time: a flood of requests must not take the processor from a stage. Shorter than
#: any two scrapes of one Prometheus are apart.
REUSED_S = 0.1

#: Whether all is well, and one line that says what is not. Called on the endpoint's thread: it must not wait. The line
#: is shown to whoever asks, so it holds no patient data.
Check = Callable[[], tuple[bool, str]]

_REASONS: Mapping[int, str] = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
_TEXT = "text/plain; charset=utf-8"


class PortError(OneLineError):
    """The port cannot be bound: another process has it, or the address is not one of this machine."""


def always() -> tuple[bool, str]:
    """The check of a process that has nothing to say but that it answers."""
    return True, "ok"


class Endpoint:
    """Serves `/metrics` of a registry, `/healthz` (end and start me if not) and `/readyz` (I do my work) on one port.

    A check that fails answers 503 with its line. Every other path is 404.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        registry: CollectorRegistry = REGISTRY,
        health: Check = always,
        ready: Check = always,
        within_s: float = WITHIN_S,
        reused_s: float = REUSED_S,
    ) -> None:
        """Bind `host:port` (0: a free one) and serve until `close`. Raises PortError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listening = socket.create_server((host, port), family=family, backlog=128)
        except OSError as error:
            raise PortError(f"cannot serve on {host}:{port}: {error.strerror}") from None
        self.port: int = listening.getsockname()[1]
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self.within_s = within_s
        self._reused_s = reused_s
        self._registry = registry
        self._checks = {"/healthz": health, "/readyz": ready}
        self._rendered: dict[str, tuple[float, bytes]] = {}
        #: Oldest first.
        self._open: dict[_Connection, None] = {}
        # Not uvloop, which the worker installs for Faust: its loop is watched by this very endpoint.
        self._loop = asyncio.SelectorEventLoop()
        self._server = self._loop.run_until_complete(
            self._loop.create_server(lambda: _Connection(self, self._loop), sock=listening, backlog=128)
        )
        self._thread = threading.Thread(target=self._serve, name="endpoint", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving and free the port."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=self.within_s)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    def answer(self, request: bytes) -> bytes:
        """The whole answer to a request (its bytes up to the empty line)."""
        line, _, rest = request.partition(b"\r\n")
        words = line.decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return response(400, "not an HTTP request")
        method, target, _ = words
        if method not in ("GET", "HEAD"):
            return response(405, "only GET")
        path = target.partition("?")[0]
        try:
            if path == "/metrics":
                whole = self._metrics(_header(rest, "accept"))
            elif path in self._checks:
                well, text = self._checks[path]()
                whole = response(200 if well else 503, text)
            else:
                whole = response(404, "here are /metrics, /healthz and /readyz")
        except Exception as error:  # a collector or a check that fails must not end what tells of failures
            logger.warning("%s cannot be answered: %s", path, type(error).__name__)
            whole = response(500, f"it failed: {type(error).__name__}")
        return whole if method == "GET" else whole.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    def admit(self, connection: _Connection) -> None:
        """Take in a connection; where there are too many, the oldest ends."""
        self._open[connection] = None
        if len(self._open) > MOST_CONNECTIONS:
            next(iter(self._open)).end()

    def gone(self, connection: _Connection) -> None:
        """Forget a connection."""
        self._open.pop(connection, None)

    def _metrics(self, accept: str) -> bytes:
        encode, content_type = choose_encoder(accept)
        at, known = self._rendered.get(content_type, (0.0, b""))
        if not known or time.monotonic() - at > self._reused_s:
            known = response(200, encode(self._registry), content_type)
            # After the rendering: one that takes long counts from its end, or it would be done again at once.
            self._rendered[content_type] = (time.monotonic(), known)
        return known

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._server.close()
            for connection in list(self._open):
                connection.end()
            # Closed connections and the server say good-bye in the next round.
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()


class _Connection(asyncio.Protocol):
    """One connection, one request; it ends after `within_s`, whatever the other side does."""

    def __init__(self, endpoint: Endpoint, loop: asyncio.AbstractEventLoop) -> None:
        self._endpoint = endpoint
        self._loop = loop
        self._request = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._limit = self._loop.call_later(self._endpoint.within_s, self.end)
        self._endpoint.admit(self)

    def data_received(self, data: bytes) -> None:
        self._request += data
        whole, end, _ = bytes(self._request).partition(b"\r\n\r\n")
        if end and len(whole) <= MOST_REQUEST_BYTES:
            self._send(self._endpoint.answer(whole))
        elif len(self._request) > MOST_REQUEST_BYTES:
            self._send(response(431, "the request is too long"))

    def connection_lost(self, error: Exception | None) -> None:
        self._limit.cancel()
        self._endpoint.gone(self)

    def end(self) -> None:
        """Close at once, whatever is still to be sent."""
        self._endpoint.gone(self)
        self._transport.abort()

    def _send(self, answer: bytes) -> None:
        self._transport.pause_reading()
        self._transport.write(answer)
        # What is written goes out first; the limit stands for one who does not read it.
        self._transport.close()


def response(status: int, body: str | bytes, content_type: str = _TEXT) -> bytes:
    """A whole HTTP answer after which the connection closes."""
    content = body if isinstance(body, bytes) else f"{body}\n".encode()
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {content_type}\r\nContent-Length: {len(content)}\r\n"
        "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + content


def _header(lines: bytes, name: str) -> str:
    for line in lines.decode("latin-1").split("\r\n"):
        known, _, value = line.partition(":")
        if known.strip().lower() == name:
            return value.strip()
    return ""
