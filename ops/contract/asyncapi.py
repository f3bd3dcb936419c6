"""The topics and messages as AsyncAPI 3.0: what a colleague in another language reads first.

Made from streams/topics.py and the schemas, so that it cannot say anything else than what runs; a test fails when
docs/asyncapi.yaml is older than they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from schemas import compatibility, definitions
from schemas.envelope.partitioner import LIBRDKAFKA_PARTITIONER
from schemas.registry import COMPATIBILITY
from streams.pipeline import STAGES
from streams.settings import Settings
from streams.topics import ALL, Flow, Topic

Document = dict[str, Any]

_BINDING_VERSION = "0.5.0"
_AVRO = "application/vnd.apache.avro+json;version=1.9.0"
_TAGS: Mapping[Flow, str] = {Flow.INTO: "input", Flow.OUT_OF: "output", Flow.WITHIN: "internal"}
_ACTIONS: Mapping[Flow, tuple[str, ...]] = {
    Flow.INTO: ("receive",),
    Flow.OUT_OF: ("send",),
    Flow.WITHIN: ("send", "receive"),
}
_DESCRIPTION = f"""\
From a wound picture to the right people, in time. Decision support for clinicians, not a diagnosis.

Operations are told from the pipeline's side: it receives cases and acknowledgements, and sends gradings, escalations
and the audit. Topics tagged internal are its own and may change without notice.

- Values are Avro in Confluent wire format: a zero byte, the schema id as four bytes (big endian), then the record.
- Schemas evolve under {COMPATIBILITY}: any version reads any other.
- Read with isolation level read_committed, or you see what was never decided.
- A producer built on librdkafka must set partitioner={LIBRDKAFKA_PARTITIONER["partitioner"]}, or its cases land on
  partitions where nothing of theirs is.
- No patient's name or code travels here, only a token; pictures travel by reference.
"""
_DEAD_LETTER_HEADERS: Mapping[str, str] = {
    "vigia.errors.stage": "Stage that could not process the record",
    "vigia.errors.reason": "Code of the reason, such as hash_mismatch",
    "vigia.errors.message": "What was wrong; never patient data",
    "vigia.errors.topic": "Topic of the original record",
    "vigia.errors.partition": "Its partition",
    "vigia.errors.offset": "Its offset",
    "vigia.errors.timestamp": "When it was put here, milliseconds since 1970",
    "vigia.errors.attempt": "How often it had been redriven before",
    "vigia.errors.reader": "Name of the stage again, where an earlier stage reads the same topic; else absent",
}


def document(topics: Iterable[Topic] = ALL) -> Document:
    """The AsyncAPI document, as plain values."""
    topics = tuple(topics)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Vigía Streams",
            "version": _version(),
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "avro/binary",
        "servers": {"kafka": _server()},
        "channels": {_id(topic): _channel(topic) for topic in topics},
        "operations": {
            action + _capitalised(_id(topic)): _operation(topic, action)
            for topic in topics
            for action in _ACTIONS[topic.flow]
        },
        "components": {"messages": {_message_name(topic): _message(topic) for topic in topics}},
    }


def render(topics: Iterable[Topic] = ALL) -> str:
    """The AsyncAPI document as YAML."""
    text = yaml.dump(document(topics), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return f"# Written by `vigia schemas asyncapi` from streams/topics.py and schemas/avsc. Do not edit.\n{text}"


class _Dumper(yaml.SafeDumper):
    """Writes every value out: anchors are correct YAML, but no help to a reader."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def _version() -> str:
    """The newest released version of the contract."""
    released = [path.name for path in compatibility.RELEASED.iterdir() if path.is_dir()]
    return max(released, key=lambda name: [int(part) for part in name.split(".")])


def _server() -> Document:
    return {
        "host": "{host}:{port}",
        "protocol": "kafka",
        "description": "`vigia up` prints where its broker and registry are.",
        "variables": {"host": {"default": "127.0.0.1"}, "port": {"default": "9092"}},
    }


def _flow(topic: Topic) -> str:
    """Which stages of the pipeline write the topic, and which read it."""
    writing = [stage.name for stage in STAGES if topic.name in stage.writes]
    reading = [stage.name for stage in STAGES if topic.name in stage.reads]
    written = f" Written by {', '.join(writing)}." if writing else ""
    return written + (f" Read by {', '.join(reading)}." if reading else "")


def _channel(topic: Topic) -> Document:
    message = _message_name(topic)
    return {
        "address": topic.name,
        "description": f"{topic.purpose}.{_flow(topic)}",
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "tags": [{"name": _TAGS[topic.flow]}],
        "bindings": {
            "kafka": {
                "partitions": Settings.__dataclass_fields__["partitions"].default,
                "topicConfiguration": {name: _config(name, value) for name, value in topic.config.items()},
                "bindingVersion": _BINDING_VERSION,
            }
        },
    }


def _config(name: str, value: str) -> Any:
    # The binding wants the policies as a list, and numbers as numbers.
    if name == "cleanup.policy":
        return value.split(",")
    if value in ("true", "false"):
        return value == "true"
    return int(value) if value.isdigit() else value


def _operation(topic: Topic, action: str) -> Document:
    channel = f"#/channels/{_id(topic)}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{_message_name(topic)}"}],
    }


def _message(topic: Topic) -> Document:
    key = {"type": "string", "description": topic.key}
    binding: Document = {"key": key, "bindingVersion": _BINDING_VERSION}
    if topic.record is None:
        message: Document = {"contentType": "application/octet-stream", "bindings": {"kafka": binding}}
        if topic.flow is not Flow.WITHIN:
            properties = {name: {"type": "string", "description": text} for name, text in _DEAD_LETTER_HEADERS.items()}
            message["headers"] = {"type": "object", "properties": properties}
        return message
    schema = definitions.inline(topic.record.__avro__.full_name, definitions.packaged())
    binding |= {
        "schemaIdLocation": "payload",
        "schemaIdPayloadEncoding": "confluent",
        "schemaLookupStrategy": "TopicNameStrategy",
    }
    return {
        "summary": schema["doc"],
        "contentType": "avro/binary",
        "payload": {"schemaFormat": _AVRO, "schema": schema},
        "bindings": {"kafka": binding},
    }


def _message_name(topic: Topic) -> str:
    return topic.record.__name__ if topic.record is not None else _capitalised(_id(topic))


def _id(topic: Topic) -> str:
    """`vigia.escalations.human-review` → `escalationsHumanReview`."""
    first, *others = re.split(r"[.-]", topic.name.removeprefix("vigia."))
    return first + "".join(other.capitalize() for other in others)


def _capitalised(name: str) -> str:
    return name[0].upper() + name[1:]
