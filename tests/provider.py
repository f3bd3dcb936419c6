"""An OIDC provider for tests: Authlib's authorization server over HTTP, with the keys to check its tokens."""

from __future__ import annotations

import threading
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from flask import Flask, Response, jsonify
from joserfc.jwk import ECKey, KeySet


class Client(ClientMixin):  # type: ignore[misc]
    """One program that may ask for tokens."""

    def __init__(self, client_id: str, secret: str) -> None:
        self.client_id, self.secret = client_id, secret

    def get_client_id(self) -> str:
        return self.client_id

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == self.secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "client_credentials"

    def get_allowed_scope(self, scope: str | None) -> str:
        return scope or "kafka"


class Generator(JWTBearerTokenGenerator):  # type: ignore[misc]
    """Signed tokens (RFC 9068) for one audience."""

    def __init__(self, key: ECKey, issuer: str, audience: str) -> None:
        super().__init__(issuer=issuer, alg="ES256")
        self._key, self._audience = key, audience

    def get_jwks(self) -> Any:
        return KeySet([self._key])

    def get_audiences(self, client: Client, user: object, scope: str) -> str:
        return self._audience


class Server(AuthorizationServer):  # type: ignore[misc]
    """Any scope, and none."""

    def validate_requested_scope(self, scope: str | None) -> None:
        return


class Provider:
    """Answers on loopback for as long as the `with` block lasts."""

    audience = "kafka"

    def __init__(self, clients: dict[str, str]) -> None:
        """`clients`: id → secret; may be changed while it runs."""
        self.clients = clients
        self._server = make_server("127.0.0.1", 0, self._app(), handler_class=_Quiet, server_class=WSGIServer)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self.token_url, self.jwks_url = f"{self.issuer}/token", f"{self.issuer}/jwks"

    def __enter__(self) -> Provider:
        key = ECKey.generate_key("P-256", {"kid": "test", "use": "sig", "alg": "ES256"})
        self.keys = {"keys": [key.as_dict(private=False)]}
        self._oauth.register_token_generator("default", Generator(key, self.issuer, self.audience))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _app(self) -> Flask:
        app = Flask("provider")
        self._oauth = Server(app, query_client=self._client, save_token=lambda token, request: None)
        self._oauth.register_grant(grants.ClientCredentialsGrant)

        @app.post("/token")
        def token() -> Response:
            return self._oauth.create_token_response()

        @app.get("/jwks")
        def jwks() -> Response:
            return jsonify(self.keys)

        @app.post("/text")
        def text() -> str:
            return "no token"

        return app

    def _client(self, client_id: str) -> Client | None:
        secret = self.clients.get(client_id)
        return None if secret is None else Client(client_id, secret)


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        return
