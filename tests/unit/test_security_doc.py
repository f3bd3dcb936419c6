"""docs/security.md names every variable by which a service is reached, and no other; its examples are accepted."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from schemas.access import registry as registry_module
from schemas.access.address import KAFKA, REGISTRY, ServiceAddress
from schemas.access.registry import registry_access
from streams.broker import security as security_module
from streams.broker.security import Mode, security_of
from tests.authority import Authority

PAGE = (Path(__file__).parents[2] / "docs/security.md").read_text(encoding="utf-8")
#: The page says once that each …_FILE of a secret may be a …_COMMAND; a bare secret is known only to be refused.
KNOWN = {
    f"{prefix}{name}"
    for prefix, known in ((KAFKA, security_module._KNOWN), (REGISTRY, registry_module._KNOWN))
    for name in (*known, "SECURITY")
    if not name.endswith(("_COMMAND", "PASSWORD", "SECRET")) and name != "TOKEN"
}


def test_every_variable_is_on_the_page_and_no_other() -> None:
    named = set(re.findall(r"`(VIGIA_(?:KAFKA|SCHEMA_REGISTRY)_[A-Z_]+)[=`]", PAGE))
    assert named - {"VIGIA_SCHEMA_REGISTRY_URL"} == KNOWN


def test_every_way_has_a_row() -> None:
    assert re.findall(r"^\| `([a-z]+)` \|", PAGE, re.MULTILINE) == list(Mode)


@pytest.mark.parametrize("block", re.findall(r"```sh\n(export .*?)```", PAGE, re.DOTALL))
def test_the_examples_are_accepted(block: str, tmp_path: Path) -> None:
    # Its files are not on this machine: one CA takes the place of each.
    ca = Authority(tmp_path).ca
    env = dict(word.split("=", 1) for word in shlex.split(block) if word.startswith("VIGIA_"))
    env = {name: str(ca) if name.endswith("_FILE") else value for name, value in env.items()}
    security_of(ServiceAddress.found(env.get("VIGIA_BOOTSTRAP_SERVERS", "kafka:9093"), KAFKA, env))
    if url := env.get("VIGIA_SCHEMA_REGISTRY_URL"):
        registry_access(ServiceAddress.found(url, REGISTRY, env))
