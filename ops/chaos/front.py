"""What stands before the registry and passes on what is asked, or answers in its place with what is no answer.

Workers of a campaign know the registry by this address: a proxy that asks for a password, or sends a page of its own,
is nothing that a registry can be made to do.
"""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import ClassVar, Self
from urllib.parse import urlsplit

from ops.embedded.ports import LOOPBACK

#: Longer than any worker waits.
PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Nonsense:
    """One answer to every question."""

    status: int
    content_type: str
    body: bytes


ANSWERS: dict[str, Nonsense] = {
    "401 and no more": Nonsense(401, "text/plain", b""),
    "422 to every question": Nonsense(
        422, "application/vnd.schemaregistry.v1+json", b'{"error_code": 42201, "message": "no"}'
    ),
    "a page of a proxy": Nonsense(200, "text/html", b"<!doctype html><title>Sign in</title>"),
    "half an answer": Nonsense(200, "application/json", b'{"id": '),
}


class Front:
    """A server on loopback before the registry at `url`, for as long as a `with` block lasts."""

    def __init__(self, url: str) -> None:
        self._lies: list[Nonsense] = []
        self._path = urlsplit(url).path
        asked = type("Asked", (_Asked,), {"front": self, "origin": url.removesuffix(self._path)})
        self._server = ThreadingHTTPServer((LOOPBACK, 0), asked)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="front", daemon=True)

    @property
    def url(self) -> str:
        """The address of the registry for whoever is to meet this."""
        return f"http://{LOOPBACK}:{self._server.server_address[1]}{self._path}"

    @property
    def lie(self) -> Nonsense | None:
        """What is answered just now in place of the registry's own answers."""
        return self._lies[-1] if self._lies else None

    @contextmanager
    def lying(self, answer: Nonsense) -> Iterator[None]:
        """Give this answer to every question meanwhile."""
        self._lies.append(answer)
        try:
            yield
        finally:
            self._lies.remove(answer)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Asked(BaseHTTPRequestHandler):
    front: ClassVar[Front]
    origin: ClassVar[str]

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        return

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        lie = self.front.lie
        answer = lie if lie is not None else self._passed_on(body)
        if answer is None:
            # The registry does not answer: neither does what stands before it.
            self.close_connection = True
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        # A worker that was killed meanwhile, or waits no longer, hears nothing.
        with suppress(ConnectionError):
            self.end_headers()
            self.wfile.write(answer.body)

    def _passed_on(self, body: bytes | None) -> Nonsense | None:
        headers = {name: value for name in ("Content-Type", "Accept") if (value := self.headers.get(name))}
        request = urllib.request.Request(  # noqa: S310 - our own address on loopback
            self.origin + self.path, data=body, headers=headers, method=self.command
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=PATIENCE_S) as answer:
                return Nonsense(answer.status, answer.headers.get("Content-Type", ""), answer.read())
        except urllib.error.HTTPError as error:
            return Nonsense(error.code, error.headers.get("Content-Type", ""), error.read())
        except OSError:
            return None
