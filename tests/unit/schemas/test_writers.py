"""Which schema ids are read on a topic, on values: what a registry says, and when it is asked again."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from typing import Any

import fastavro
import pytest

from schemas import acceptance, binary, definitions
from schemas.errors import RegistryUnavailableError, UndecodableError
from schemas.writers import KEPT, MOST_REFUSED, REFUSED_S, UNANSWERED_S, WRITERS_KEPT, Writers
from tests.unit.schemas import samples

TOPIC, SUBJECT = "vigia.cases.routine", "vigia.cases.routine-value"
OWN, NEWER, FOREIGN, AWAY = 1, 2, 3, 4


def newer() -> str:
    schema = json.loads(definitions.text("vigia.v1.CaseEvent"))
    schema["fields"].append({"name": "ward", "type": ["null", "string"], "default": None})
    return json.dumps(schema)


class Said:
    """What a registry says, and what it was asked."""

    def __init__(self) -> None:
        self.schemas = {
            OWN: definitions.text("vigia.v1.CaseEvent"),
            NEWER: newer(),
            FOREIGN: '{"type": "record", "name": "Parcel", "fields": []}',
        }
        self.under: dict[int, set[str]] = {NEWER: {SUBJECT}, FOREIGN: {SUBJECT}}
        self.asked: list[int] = []
        self.now = 0.0

    def schema(self, schema_id: int) -> str | None:
        self.asked.append(schema_id)
        if schema_id == AWAY:
            raise RegistryUnavailableError("away")
        return self.schemas.get(schema_id)

    def subjects(self, schema_id: int) -> frozenset[str]:
        return frozenset(self.under.get(schema_id, ()))


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def writers(said: Said) -> Writers:
    return Writers(said, lambda: said.now)


def test_a_newer_version_under_the_topics_own_subject_is_read_and_asked_for_once(said: Said, writers: Writers) -> None:
    assert not writers.knows(TOPIC, NEWER)
    assert writers.writer(TOPIC, NEWER).name == "vigia.v1.CaseEvent"
    assert writers.knows(TOPIC, NEWER)
    said.under.clear()
    writers.writer(TOPIC, NEWER)
    assert said.asked == [NEWER]


@pytest.mark.parametrize("subjects", [set(), {"anyone-value"}, {"vigia.cases.emergency-value"}])
def test_the_same_schema_under_another_subject_is_refused_until_it_stands_under_ours(
    said: Said, writers: Writers, subjects: set[str]
) -> None:
    said.under[NEWER] = subjects
    with pytest.raises(UndecodableError, match=f"schema id {NEWER} is not registered under {SUBJECT}"):
        writers.writer(TOPIC, NEWER)
    assert writers.knows(TOPIC, NEWER)
    said.under[NEWER] = {SUBJECT}
    said.now += REFUSED_S
    assert not writers.knows(TOPIC, NEWER)
    assert writers.writer(TOPIC, NEWER).name == "vigia.v1.CaseEvent"


def test_a_schema_that_we_carry_is_read_whoever_deleted_its_subject(writers: Writers) -> None:
    assert writers.writer(TOPIC, OWN).same


def test_a_schema_that_is_refused_is_refused_for_good_even_under_our_own_subject(said: Said, writers: Writers) -> None:
    for _ in range(3):
        with pytest.raises(
            UndecodableError, match=f"schema id {FOREIGN}: a schema of Parcel is none of the contract's"
        ):
            writers.writer(TOPIC, FOREIGN)
        said.now += REFUSED_S
    assert said.asked == [FOREIGN]


def test_an_id_that_was_not_answered_is_not_asked_for_again_at_once(said: Said, writers: Writers) -> None:
    for _ in range(5):
        with pytest.raises(RegistryUnavailableError):
            writers.writer(TOPIC, AWAY)
    assert said.asked == [AWAY]
    assert not writers.knows(TOPIC, AWAY), "it is not settled"
    said.now += UNANSWERED_S
    with pytest.raises(RegistryUnavailableError):
        writers.writer(TOPIC, AWAY)
    assert said.asked == [AWAY, AWAY]
    assert writers.writer(TOPIC, OWN).same, "others are asked for meanwhile"


def test_ids_of_carried_schemas_need_no_registry(said: Said, writers: Writers) -> None:
    schema_id = acceptance.carried_id("vigia.v1.CaseEvent")
    assert writers.knows(TOPIC, schema_id)
    assert writers.writer(TOPIC, schema_id).same
    with pytest.raises(UndecodableError, match="stands for no schema that this version carries"):
        writers.writer(TOPIC, acceptance.CARRIED_FROM)
    assert said.asked == []


def test_a_flood_of_ids_and_of_schemas_does_not_fill_the_memory(said: Said, writers: Writers) -> None:
    for schema_id in range(1_000_000, 1_000_000 + 2 * KEPT):
        # Slowly enough that each is asked for.
        said.now += REFUSED_S / MOST_REFUSED
        with pytest.raises(UndecodableError):
            writers.writer(TOPIC, schema_id)
    said.now += REFUSED_S
    for number in range(WRITERS_KEPT + 50):
        said.schemas[10_000 + number] = said.schemas[OWN]
        writers.writer(TOPIC, 10_000 + number)
    assert len(writers._refused) <= KEPT
    assert max(len(writers._accepted), len(writers._readable)) <= WRITERS_KEPT


def test_a_flood_of_ids_is_no_flood_of_questions(said: Said, writers: Writers) -> None:
    """2,000 records of an id each took a question each, and the emergency behind them waited for minutes."""
    for schema_id in range(500_000, 502_000):
        with pytest.raises(UndecodableError):
            writers.writer(TOPIC, schema_id)
    assert len(said.asked) == MOST_REFUSED
    assert writers.knows(TOPIC, 600_000), "nothing is asked, so the event loop may do it"
    said.now += REFUSED_S
    assert not writers.knows(TOPIC, NEWER)
    assert writers.writer(TOPIC, NEWER).name == "vigia.v1.CaseEvent"


def test_what_is_known_is_read_amid_a_flood(said: Said, writers: Writers) -> None:
    writers.writer(TOPIC, NEWER)
    for schema_id in range(500_000, 500_000 + MOST_REFUSED):
        with pytest.raises(UndecodableError):
            writers.writer(TOPIC, schema_id)
    assert writers.writer(TOPIC, NEWER).name == "vigia.v1.CaseEvent"
    assert writers.writer(TOPIC, acceptance.carried_id("vigia.v1.CaseEvent")).same
    with pytest.raises(UndecodableError, match="too many before it"):
        writers.writer(TOPIC, OWN)


def test_a_registry_that_is_away_refuses_nothing(said: Said, writers: Writers) -> None:
    for _ in range(2 * MOST_REFUSED):
        with pytest.raises(RegistryUnavailableError):
            writers.writer(TOPIC, AWAY)
        said.now += UNANSWERED_S / 10
    assert writers.writer(TOPIC, NEWER).name == "vigia.v1.CaseEvent"


@pytest.mark.parametrize("extra", [{"aliases": [["x"]]}, {"aliases": [{}]}, {"name": "\ud800"}], ids=repr)
def test_a_schema_that_cannot_even_be_compared_is_refused_as_any_other(extra: dict[str, Any]) -> None:
    """Anybody may register it, and what it raised went past everything that decodes."""
    schema = json.loads(definitions.text("vigia.v1.CaseEvent"))
    schema["fields"].append({"name": "more", "type": "string", "default": "", **extra})
    with suppress(UndecodableError):
        acceptance.accept(json.dumps(schema))


def test_a_field_that_another_version_does_not_write_is_read_with_its_default() -> None:
    schema = json.loads(definitions.text("vigia.v1.AuditEntry"))
    schema["fields"] = [field for field in schema["fields"] if field["name"] != "attributes"]
    writer = acceptance.accept(json.dumps(schema))
    ours = acceptance.accept(definitions.text("vigia.v1.AuditEntry"))
    datum = {**binary.datum(binary.write(samples.AUDIT_ENTRY), 0, ours)}
    del datum["attributes"]
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, writer.written, datum)
    found = binary.datum(buffer.getvalue(), 0, writer, binary.narrowed(writer, ("outcome", "attributes")))
    assert found == {"outcome": samples.AUDIT_ENTRY.outcome, "attributes": {}}
