"""A hospital's cluster for tests: broker, guarded registry and identity provider, and how each program reaches them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from click.testing import CliRunner, Result

from ops.access.plan import plan
from ops.cli import cli
from ops.embedded.process import ChildProcess
from schemas.access.address import ServiceAddress
from streams.settings import Settings
from tests.guarded_registry import GuardedRegistry
from tests.provider import Provider
from tests.secured import SecuredKafka

PLAN = plan()
#: Longest wait for what must come.
PATIENCE_S = 240.0
#: Parts of secrets: no log and no output may hold one.
PASSWORD, TOKEN = "PASSWORD-S3CR3T", "TOKEN-S3CR3T"


@dataclass
class Hospital:
    """Broker, registry and identity provider, and the settings of each program on them."""

    folder: Path
    kafka: SecuredKafka
    registry: GuardedRegistry
    provider: Provider
    running: dict[str, ChildProcess] = field(default_factory=dict)

    def file(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def scram(self, user: str, password: str | None = None) -> dict[str, str]:
        return {
            **self._common(self.kafka.scram, "scram"),
            "VIGIA_KAFKA_USER": user,
            "VIGIA_KAFKA_PASSWORD_FILE": self.file(
                f"{user}.{password is None}.password", password or f"{PASSWORD}-{user}"
            ),
            "VIGIA_SCHEMA_REGISTRY_USER": self.registry.user,
            "VIGIA_SCHEMA_REGISTRY_PASSWORD_FILE": self.file("registry.password", PASSWORD),
        }

    def mtls(self, name: str) -> dict[str, str]:
        pair = self.kafka.authority.sign(name, ())
        return {
            **self._common(self.kafka.mtls, "mtls"),
            "VIGIA_KAFKA_CERT_FILE": str(pair.cert),
            "VIGIA_KAFKA_KEY_FILE": str(pair.key),
            "VIGIA_SCHEMA_REGISTRY_CERT_FILE": str(pair.cert),
            "VIGIA_SCHEMA_REGISTRY_KEY_FILE": str(pair.key),
        }

    def oauth(self, client: str) -> dict[str, str]:
        return {
            **self._common(self.kafka.oauth, "oauth"),
            "VIGIA_KAFKA_TOKEN_URL": self.provider.token_url,
            "VIGIA_KAFKA_CLIENT_ID": client,
            "VIGIA_KAFKA_CLIENT_SECRET_COMMAND": f"cat '{self.file(f'{client}.secret', PASSWORD)}'",
            "VIGIA_SCHEMA_REGISTRY_TOKEN_FILE": self.file("registry.token", TOKEN),
        }

    def settings(self, variables: Mapping[str, str]) -> Settings:
        return Settings.from_env(variables)

    def start(self, name: str, arguments: tuple[str, ...], variables: Mapping[str, str]) -> None:
        """Run `vigia …` as a process; its output is in `log(name)`."""
        env = {**{key: value for key, value in os.environ.items() if not key.startswith("VIGIA_")}, **variables}
        command = [sys.executable, "-P", "-m", "ops", *arguments]
        # Under a guard: even where the tests die, nothing runs on.
        process = ChildProcess(name, command, log=self._log(name), env=env, grace_s=30.0)
        process.start()
        self.running[name] = process

    def ended(self, name: str) -> int:
        return self.running[name].wait(PATIENCE_S)

    def log(self, name: str) -> str:
        return self._log(name).read_text()

    def stop(self) -> None:
        for process in self.running.values():
            process.ask_to_stop()
        for process in self.running.values():
            process.stop()

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _common(self, servers: str, way: str) -> dict[str, str]:
        ca = str(self.kafka.authority.ca)
        return {
            "VIGIA_BOOTSTRAP_SERVERS": servers,
            "VIGIA_KAFKA_SECURITY": way,
            "VIGIA_KAFKA_CA_FILE": ca,
            "VIGIA_SCHEMA_REGISTRY_URL": self.registry.url,
            "VIGIA_SCHEMA_REGISTRY_CA_FILE": ca,
            "VIGIA_IMAGE_STORE": f"file://{self.folder / 'images'}",
            "VIGIA_TOKEN_KEY": "k" * 32,
            "XDG_DATA_HOME": str(self.folder / "data"),
        }


def vigia(variables: Mapping[str, str], *arguments: str) -> Result:
    """The command line in this process."""
    gone = {name: None for name in os.environ if name.startswith("VIGIA_")}
    return CliRunner().invoke(cli, arguments, env={**gone, **variables})


def servers(variables: Mapping[str, str]) -> ServiceAddress:
    return ServiceAddress(variables["VIGIA_BOOTSTRAP_SERVERS"], variables)
