"""A real schema registry behind a proxy that asks who one is: TLS, with basic, bearer or a client certificate."""

from __future__ import annotations

import ssl
import threading
import urllib.error
import urllib.request
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast
from urllib.parse import urlsplit

from tests.authority import Authority


class GuardedRegistry:
    """`url` is that of the proxy, for as long as the `with` block lasts."""

    user = "vigia"

    def __init__(self, behind: str, authority: Authority, *, password: str, token: str) -> None:
        """`behind`: the registry's own address. Whoever is signed by the authority needs neither password nor token."""
        basic = b64encode(f"{self.user}:{password}".encode()).decode()
        self._server = _Server(behind, {f"Basic {basic}", f"Bearer {token}"})
        pair = authority.sign("registry")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        context.load_verify_locations(authority.ca)
        context.verify_mode = ssl.CERT_OPTIONAL
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        path = urlsplit(behind).path
        self.url = f"https://127.0.0.1:{self._server.server_port}{path}"

    def __enter__(self) -> GuardedRegistry:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, behind: str, accepted: set[str]) -> None:
        self.behind, self.accepted = behind.removesuffix(urlsplit(behind).path), accepted
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, *_: object) -> None:
        """A client that breaks the handshake off is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._pass()

    def do_POST(self) -> None:
        self._pass()

    def do_PUT(self) -> None:
        self._pass()

    def log_message(self, *_: object) -> None:
        return

    def _pass(self) -> None:
        server = cast(_Server, self.server)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        if not cast(ssl.SSLSocket, self.connection).getpeercert() and (
            self.headers.get("Authorization") not in server.accepted
        ):
            self._answer(401, b'{"error_code": 401, "message": "Unauthorized"}')
            return
        kept = {name: self.headers[name] for name in ("Content-Type", "Accept") if name in self.headers}
        asked = urllib.request.Request(f"{server.behind}{self.path}", body, kept, method=self.command)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(asked, timeout=30) as answer:
                self._answer(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            self._answer(error.code, error.read())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
