"""Attacks on what people see, and on who may say what (sections 3, 5 and 7: P2, P3, I1, I2, C1, M1)."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from ops.attacks.attack import Attack, Attacks, Strike
from ops.attacks.field import Field
from ops.attacks.witness import ESCALATIONS
from schemas.events import (
    AcknowledgementAction,
    AcknowledgementEvent,
    ModelAction,
    ModelControlEvent,
    StageClass,
)
from streams import topics
from streams.broker import clients

#: What must appear nowhere but in a dead letter.
MARKER = "PEREZ.SOTO.JUAN"
_RUT = f"{MARKER} 12.345.678-9"
#: Controls that steer a terminal: OSC 52 writes to the clipboard, C1 is their other spelling.
_STEERING = re.compile(rb"\x1b[\]\[]|\xc2[\x80-\x9f]|\x07")
_ROLE = "x\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b2J\u202e [/x]"
#: A scrape that takes longer is given up by Prometheus.
SCRAPED_WITHIN_S = 4.0
_CONNECTIONS = 800


def _named(field: Field) -> None:
    case = field.case()
    named = f"s3://pacs/patient={MARKER}-12345678-9/CD-2025-001.jpg"
    for changes in (
        {"patient_token": f"{MARKER}-12.345.678-9-CD-2025-001"},
        {"image": replace(case.image, uri=named)},
        {"image": replace(case.image, uri=case.image.uri.rsplit("/", 1)[0] + f"/patient={MARKER}.jpg")},
        {"producer": f"\t{MARKER}"},
        {"context": _context(field, _RUT)},
    ):
        one = field.case()
        field.send_case(one, field.unchecked(one, **changes))


def _context(field: Field, text: str) -> object:
    context = replace(field.case().context)
    object.__setattr__(context, "medications", (text,))
    object.__setattr__(context, "mobility", text)
    return context


def _unnamed(field: Field) -> str:
    marker = MARKER.encode()
    places = [*field.witness.holding(marker), *field.target.logs_holding(marker)]
    return f"the patient's name went on to {', '.join(places)}" if places else ""


def _unreadable(field: Field) -> None:
    name = MARKER.encode()
    files = {
        "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"Exif\0\0" + name + bytes(200),
        "tif": b"II*\0\x08\0\0\0\x01\0\x0e\x01\x02\0" + len(name).to_bytes(4, "little") + b"\x1a\0\0\0\0\0\0\0" + name,
        "dcm": bytes(128) + b"DICM" + b"\x10\0\x10\0PN" + len(name).to_bytes(2, "little") + name + bytes(200),
    }
    field.notes["asked"] = []
    for suffix, data in files.items():
        path = field.target.run_dir / f"picture.{suffix}"
        path.write_bytes(data)
        code, said = field.target.run(
            "publish", "--image", str(path), "--unidentified", "--accept-unreadable", "--json",
            "--analysis-type", "emergency",
        )  # fmt: skip
        if code == 0:
            with suppress(ValueError, LookupError):
                field.notes["asked"].append(json.loads(said.splitlines()[-1])["case_id"])


def _stripped(field: Field) -> str:
    marker = MARKER.encode()
    held = [path for path in field.images.rglob("*") if path.is_file() and marker in path.read_bytes()]
    asked: Sequence[str] = field.notes["asked"]
    if not field.witness.until(lambda: all(field.witness.of(each, topics.GRADINGS) for each in asked), 20.0):
        return "nobody was asked about a file that is no picture"
    return f"the patient's name lies in {len(held)} stored files" if held else ""


def _answer(field: Field, **changes: object) -> None:
    case = field.case()
    field.send_case(case)
    topic = topics.ESCALATIONS_EMERGENCY
    if not field.witness.until(lambda: bool(field.witness.events(case.case_id, topic)), 30.0):
        return
    raised = field.witness.events(case.case_id, topic)[0]
    now = datetime.now(UTC)
    answer = AcknowledgementEvent(
        event_id=uuid4(),
        case_id=case.case_id,
        escalation_id=raised.escalation_id,
        action=AcknowledgementAction.RESOLVE,
        role=raised.role,
        acknowledged_at=now,
        resolved_stage=StageClass.NONE,
        acknowledged_by="a" * 32,
    )
    field.notes["answered"] = case.case_id
    key = str(case.case_id).encode()
    value = field.unchecked(answer, topics.ACKNOWLEDGEMENTS, **changes)
    field.send(value, key=key, topic=topics.ACKNOWLEDGEMENTS, heard=False)


def _answer_of_2020(field: Field) -> None:
    _answer(field, acknowledged_at=datetime(2020, 1, 1, tzinfo=UTC), acknowledged_by=None, role="attending_physician")


def _not_counted(field: Field) -> str:
    case_id: UUID | None = field.notes.get("answered")
    if case_id is None:
        return "the emergency that is to be answered was not escalated"
    outcome = "resolved"

    def counted() -> bool:
        return any(each.outcome == outcome for each in field.witness.events(case_id, topics.AUDIT))

    # What counts is audited at once; what does not is refused, in the audit or as a dead letter.
    field.witness.until(
        lambda: counted() or len(field.witness.of(case_id, topics.DEAD_LETTERS)) > 0 or _refused(field, case_id), 15.0
    )
    return "an answer of 2020, by nobody, ended the emergency's clock" if counted() else ""


def _refused(field: Field, case_id: UUID) -> bool:
    return any("refused" in each.outcome for each in field.witness.events(case_id, topics.AUDIT))


def _synthetic(field: Field) -> None:
    case = field.case()
    field.notes["silenced"] = case.case_id
    field.send_case(case, field.unchecked(case, synthetic=True))


def _not_silenced(field: Field) -> str:
    raised = field.witness.events(field.notes["silenced"], *ESCALATIONS)
    return "" if any(not each.synthetic for each in raised) else "a real emergency was silenced"


def _steering(field: Field) -> None:
    _answer(field, role=_ROLE, acknowledged_by=None)
    field.send(b"junk", headers=[("vigia.attempt", _ROLE.encode())])
    case = field.case()
    field.notes["shown"] = case.case_id
    field.send_case(case, field.unchecked(case, producer=_ROLE))


def _plain(field: Field) -> str:
    shown, answered = str(field.notes["shown"]), str(field.notes.get("answered", field.notes["shown"]))
    for words in (
        ("case", "show", answered),
        ("case", "show", shown),
        ("audit", "show", answered),
        ("consume", topics.ACKNOWLEDGEMENTS, "--timeout", "3"),
        ("dead-letters", "list"),
        ("reviews",),
    ):
        code, said = field.target.run(*words)
        if _STEERING.search(said):
            return f"`vigia {' '.join(words[:2])}` printed what steers a terminal"
        if code is None or b"Traceback" in said:
            return f"`vigia {' '.join(words[:2])}` {'hung' if code is None else 'crashed'}"
    return ""


_FORGED = "2026-11-25T21:00:00Z INFO vigia.worker: audit verified: the chain holds"


def _line_in_the_log(field: Field) -> None:
    order = ModelControlEvent(
        event_id=uuid4(), action=ModelAction.SHADOW, model_version="x", decided_at=datetime.now(UTC)
    )
    value = field.unchecked(order, topics.MODEL_CONTROL, model_version=f"x\n{_FORGED}")
    field.send(value, key=b"shadow", topic=topics.MODEL_CONTROL, heard=False)
    time.sleep(3.0)


def _no_line(field: Field) -> str:
    found = field.target.logs_holding(f"\n{_FORGED}".encode())
    return f"a forged line stands in {', '.join(found)}" if found else ""


def _idle_connections(prefix: str) -> Strike:
    def strike(field: Field) -> None:
        address = next(each for name, each in field.target.addresses().items() if name.startswith(prefix))
        host, port = address.rsplit(":", 1)
        field.notes["address"] = address
        field.notes["sockets"] = held = []
        for _ in range(_CONNECTIONS):
            with suppress(OSError):
                held.append(socket.create_connection((host, int(port)), timeout=2.0))
                held[-1].sendall(b"GET /metrics HTTP/1.1\r\n")

    return strike


def _scraped(field: Field) -> str:
    took, size = _scrape(field.notes["address"])
    for each in field.notes.get("sockets", ()):
        each.close()
    return "" if took is not None and took < SCRAPED_WITHIN_S else f"a scrape took {took or 60:.0f} s ({size} bytes)"


def _scrape(address: str) -> tuple[float | None, int]:
    host, port = address.rsplit(":", 1)
    started = time.monotonic()
    connection = http.client.HTTPConnection(host, int(port), timeout=60.0)
    try:
        connection.request("GET", "/metrics")
        size = len(connection.getresponse().read())
    except (OSError, http.client.HTTPException):
        return None, 0
    finally:
        connection.close()
    return time.monotonic() - started, size


def _groups(field: Field) -> None:
    admin = clients.admin_client(field.settings.bootstrap_servers)
    every = [TopicPartition(name, at, 0) for name in topics.BY_NAME for at in range(field.settings.partitions)]
    for number in range(300):
        wanted = ConsumerGroupTopicPartitions(f"x{number}", every)
        for answer in admin.alter_consumer_group_offsets([wanted]).values():
            answer.result()
    address = next(each for name, each in field.target.addresses().items() if name.startswith("lag-exporter"))
    field.notes["address"] = address


PEOPLE: Attacks = {
    "a name in place of the token, in addresses and drugs": Attack("3 P2", _named, _unnamed),
    "HEIC, TIFF and DICOM, unreadable and accepted": Attack("3 P3", _unreadable, _stripped),
    "an answer of 2020, by nobody": Attack("5 I1", _answer_of_2020, _not_counted),
    "a real patient's case that says it is synthetic": Attack("5 I2", _synthetic, _not_silenced),
    "roles and headers that steer a terminal": Attack("7 C1", _steering, _plain),
    "a model's name that forges a line of the log": Attack("7 C1", _line_in_the_log, _no_line),
    "800 idle connections to a worker's metrics": Attack("7 M1", _idle_connections("inference-emergency"), _scraped),
    "800 idle connections to the lag exporter": Attack("7 M1", _idle_connections("lag-exporter"), _scraped),
    "300 invented consumer groups": Attack("7 M1", _groups, _scraped),
}
