"""docs/integration.md says what is so: its names exist, its commands parse, its recipes give our ids and tokens."""

from __future__ import annotations

import ast
import hashlib
import hmac
import importlib
import inspect
import re
import shlex
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.cli import COMMANDS
from schemas import ids
from schemas.events import Lane
from streams import client, settings
from streams.client.tokens import Tokeniser
from streams.topics import BY_NAME

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/integration.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
COMPOSE = (ROOT / "compose.kafka.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("source", [text for language, text in BLOCKS if language == "python"])
def test_what_the_programs_import_and_call_is_there(source: str) -> None:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            assert all(hasattr(module, name.name) for name in node.names)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "publish":
            known = inspect.signature(client.CaseProducer.publish).parameters
            assert {keyword.arg for keyword in node.keywords} <= known.keys()


def test_every_command_parses() -> None:
    texts = [text for language, text in BLOCKS if language == "sh"] + re.findall(r"`(vigia [^`]+)`", PAGE)
    for text in texts:
        _, verb, *rest = shlex.split(text.replace("\\\n", " "))
        module, attribute = COMMANDS[verb][0].split(":")
        command = getattr(importlib.import_module(module), attribute)
        if hasattr(command, "commands") and rest:
            assert rest[0] in command.commands
        elif "--" in text:
            command.make_context(verb, rest)


def test_every_topic_setting_and_error_named_is_there() -> None:
    assert set(re.findall(r"`(vigia\.[a-z.-]+)`", PAGE)) <= BY_NAME.keys()
    source = inspect.getsource(settings) + COMPOSE
    for variable in re.findall(r"`(VIGIA_[A-Z_]+)`", PAGE):
        assert variable in source
    errors = set(re.findall(r"`([A-Za-z]+Error)`", PAGE))
    places = [
        client,
        *map(importlib.import_module, ("schemas.errors", "streams.images.errors", "streams.client.tokens")),
    ]
    assert all(any(hasattr(place, error) for place in places) for error in errors)
    assert {name for name in client.__all__ if name.endswith("Error")} - errors <= {"ClientError", "ConsumerError"}


def test_the_ports_are_those_of_the_containers() -> None:
    for port in re.findall(r"(?:Kafka|registry|Prometheus|Alertmanager|Grafana) (\d{5})", PAGE):
        assert f"_PORT:-{port}}}" in COMPOSE


def test_the_recipe_for_tokens_gives_our_tokens() -> None:
    key = b"k" * 32

    def mac(text: str) -> str:
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    token = f"vpt1-{mac('vigia/token-key-id/v1' + chr(0))[:8]}-{mac('vigia/patient-token/v1' + chr(0) + 'CD-2025-001')}"
    assert token == Tokeniser(key).token("CD-2025-001")


@pytest.mark.parametrize("token", [None, "vpt1-00000000-" + "0" * 64])
def test_the_recipe_for_ids_gives_our_ids(token: str | None) -> None:
    (namespace,) = re.findall(r"namespace\s+`([0-9a-f-]{36})`", PAGE)
    (instant,) = re.findall(r"`(2025-11-24T12:30:00\.000000\+00:00)`", PAGE)
    sha256 = "ab" * 32
    case = uuid.uuid5(uuid.UUID(namespace), "\n".join(["case", token or "", sha256, instant]))
    assert case == ids.case_id(token, sha256, datetime(2025, 11, 24, 12, 30, tzinfo=UTC))
    event = uuid.uuid5(uuid.UUID(namespace), "\n".join(["case-event", str(case), "emergency"]))
    assert event == ids.case_event_id(case, Lane.EMERGENCY)
