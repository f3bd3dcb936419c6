"""A broker as a hospital runs it: TLS with SCRAM, TLS with client certificates, nothing allowed but what ACLs say.

A listener in plaintext on loopback is left for the test itself, which makes users and ACLs over it as a super user.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from ops.embedded import EmbeddedKafka
from ops.embedded.admin import SILENT
from ops.embedded.ports import free_ports
from tests.authority import Authority
from tests.provider import Provider

ITERATIONS = 4096


class SecuredKafka:
    """The broker, its addresses, and who may do what. Starts with the `with` block."""

    def __init__(self, run_dir: Path, provider: Provider) -> None:
        """Tokens of the OIDC `provider` are believed."""
        self.authority = Authority(run_dir / "ca")
        self._server = self.authority.sign("broker")
        self._provider = provider
        self._ports = free_ports(3)
        #: Addresses: SCRAM over TLS, client certificates, and SASL OAUTHBEARER over TLS.
        self.scram, self.mtls, self.oauth = (f"127.0.0.1:{port}" for port in self._ports)
        self.kafka = EmbeddedKafka(
            run_dir / "kafka",
            settings=self._settings,
            # Since 4.0 a broker asks nobody for keys whom this does not name.
            java_properties={"org.apache.kafka.sasl.oauthbearer.allowed.urls": provider.jwks_url},
        )

    def __enter__(self) -> SecuredKafka:
        self.kafka.start()
        self.admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap_servers}, logger=SILENT)
        return self

    def __exit__(self, *_: object) -> None:
        self.kafka.stop()

    def users(self, passwords: Mapping[str, str]) -> None:
        """Make these users, or give them other passwords."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
        changes = [UserScramCredentialUpsertion(name, info, said.encode()) for name, said in passwords.items()]
        for future in self.admin.alter_user_scram_credentials(changes).values():
            future.result(30)

    def _settings(self, ours: Mapping[str, str]) -> dict[str, str]:
        scram, mtls, oauth = (
            f"{name}://{address}"
            for name, address in (("SCRAM", self.scram), ("MTLS", self.mtls), ("OAUTH", self.oauth))
        )
        return {
            "listeners": f"{ours['listeners']},{scram},{mtls},{oauth}",
            "advertised.listeners": f"{ours['advertised.listeners']},{scram},{mtls},{oauth}",
            "listener.security.protocol.map": (
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SCRAM:SASL_SSL,MTLS:SSL,OAUTH:SASL_SSL"
            ),
            "inter.broker.listener.name": "PLAINTEXT",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._server.both),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.ca),
            "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
            "listener.name.mtls.ssl.client.auth": "required",
            "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.scram.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
            "listener.name.oauth.oauthbearer.sasl.jaas.config": (
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;"
            ),
            "listener.name.oauth.oauthbearer.sasl.server.callback.handler.class": (
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler"
            ),
            "sasl.oauthbearer.jwks.endpoint.url": self._provider.jwks_url,
            "sasl.oauthbearer.expected.audience": self._provider.audience,
            "sasl.oauthbearer.expected.issuer": self._provider.issuer,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            # The test itself, on the listener without names.
            "super.users": "User:ANONYMOUS",
            "allow.everyone.if.no.acl.found": "false",
        }
