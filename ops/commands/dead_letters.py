"""`vigia dead-letters`: what no stage could process: list it, look at one, send it again."""

from __future__ import annotations

import base64
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import click

from ops.system.context import load_settings
from ops.terminal.plain import echo, echo_json
from ops.views.audit import print_columns, topic_prefix
from schemas.envelope.audit import sha256_hex
from schemas.envelope.pointer import Pointer
from schemas.errors import UndecodableError
from schemas.registry import Registry
from schemas.serde import Serde
from streams import topics
from streams.audit.decoding import FactReader
from streams.dead_letters.originals import OriginalGoneError, Originals
from streams.dead_letters.read import Address, Audited, DeadLetter, DeadLetters, Filter
from streams.dead_letters.redrive import MAX_ATTEMPTS, REFUSED, Outcome, Rules, Status, redrive
from streams.images.records import RecordStore

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Since(click.ParamType):
    """A time, or how long ago: `2026-05-01T12:00`, `90m`, `7d`."""

    name = "time or age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment in UTC."""
        if isinstance(value, datetime):
            return value
        if match := re.fullmatch(r"(\d{1,6})([smhdw])", value):
            return datetime.now(UTC) - timedelta(**{_UNITS[match[2]]: int(match[1])})
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            self.fail("must be a time such as 2026-05-01T12:00 (UTC) or an age such as 90m, 12h, 7d", param, ctx)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at


class AddressType(click.ParamType):
    """A dead letter's `partition/offset`."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        """The address."""
        try:
            return value if isinstance(value, Address) else Address.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _filtered(command: Any) -> Any:
    for option in (
        click.option("--case", "case_id", type=click.UUID, help="Only those of this case."),
        click.option("--since", type=Since(), help="Only those written since: a time, or an age such as 12h."),
        click.option("--topic", help="Only those that came from this topic."),
        click.option("--reason", help="Only those with this reason, such as hash_mismatch."),
        click.option("--stage", help="Only those of this stage, such as inference-routine."),
    ):
        command = option(command)
    return command


@click.group("dead-letters")
def dead_letters() -> None:
    """What no stage could process: original key, value and headers, and why."""


@dead_letters.command("list")
@_filtered
@click.option("--json", "as_json", is_flag=True, help="Write one line of JSON per dead letter.")
@topic_prefix
def list_letters(
    stage: str | None,
    reason: str | None,
    topic: str | None,
    since: datetime | None,
    case_id: UUID | None,
    as_json: bool,
    prefix: str,
) -> None:
    """List dead letters, oldest first. Never prints what is in them: that is patient context."""
    reader = DeadLetters(load_settings().bootstrap_servers, prefix=prefix)
    found = reader.letters(Filter(stage=stage, reason=reason, topic=topic, case_id=case_id, since=since))
    audited = reader.audited(found)
    if as_json:
        for letter in found:
            echo_json(_as_mapping(letter, audited[letter.address]))
        return
    if not found:
        echo("no dead letters")
        return
    rows = [("ID", "WHEN (UTC)", "STAGE", "REASON", "FROM", "ATTEMPT", "CASE", "REDRIVEN")]
    print_columns([*rows, *(_row(letter, audited[letter.address]) for letter in found)])
    counted = Counter(letter.reason for letter in found)
    if len(counted) > 1:
        echo(", ".join(f"{count} {name}" for name, count in counted.most_common()))


@dead_letters.command("show")
@click.argument("address", type=AddressType(), metavar="ID")
@click.option("--payload", is_flag=True, help="Also print what is in it, as JSON. It may hold patient context.")
@topic_prefix
def show(address: Address, payload: bool, prefix: str) -> None:
    """Everything known of one dead letter, as JSON. ID is partition/offset, as `list` prints it."""
    settings = load_settings()
    reader = DeadLetters(settings.bootstrap_servers, prefix=prefix)
    letter = reader.letter(address)
    told = _as_mapping(letter, reader.audited([letter])[address])
    told["headers"] = [name for name, _ in letter.origin.headers] if letter.origin else []
    if payload:
        with Registry(settings.schema_registry_url) as registry:
            whole = _whole(reader, letter, RecordStore.from_settings(settings))
            told["payload"] = _payload(letter, whole, registry)
        echo("this output may hold patient context", err=True)
    echo_json(told, indent=2)


@dead_letters.command("redrive")
@click.argument("addresses", type=AddressType(), nargs=-1, metavar="[ID]...")
@_filtered
@click.option("--all", "everything", is_flag=True, help="All of them, as far as the rules let them.")
@click.option("--max-attempts", default=MAX_ATTEMPTS, show_default=True, help="Refuse those that failed so often.")
@click.option("--force", is_flag=True, help="Also those that failed too often.")
@click.option("--again", is_flag=True, help="Also those that were redriven before.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Write one line of JSON per dead letter.")
@topic_prefix
def redrive_letters(
    addresses: tuple[Address, ...],
    stage: str | None,
    reason: str | None,
    topic: str | None,
    since: datetime | None,
    case_id: UUID | None,
    everything: bool,
    max_attempts: int,
    force: bool,
    again: bool,
    dry_run: bool,
    as_json: bool,
    prefix: str,
) -> None:
    """Send dead letters back to the topics they came from, with their own key, value and headers.

    Mend what broke them first. Each is sent once: one that was redriven before is left out, and so is one that failed
    --max-attempts times or that no stage wrote. Exit code 1 when one was refused.
    """
    wanted = Filter(stage=stage, reason=reason, topic=topic, case_id=case_id, since=since)
    if bool(addresses) == (everything or wanted != Filter()):
        raise click.UsageError("name dead letters by their ID, or choose by --stage, --reason, …, or take --all")
    rules = Rules(max_attempts=max_attempts, force=force, again=again, dry_run=dry_run)
    counted: Counter[Status] = Counter()
    settings = load_settings()
    reader = DeadLetters(settings.bootstrap_servers, prefix=prefix)
    chosen = [reader.letter(address) for address in dict.fromkeys(addresses)] if addresses else reader.letters(wanted)
    serde = Serde(settings.schema_registry_url)
    for outcome in redrive(reader, serde, chosen, rules, RecordStore.from_settings(settings)):
        counted[outcome.status] += 1
        echo_json(_outcome_mapping(outcome)) if as_json else echo(_outcome_line(outcome))
    if not as_json:
        echo(", ".join(f"{count} {status.value}" for status, count in counted.items()) or "no dead letters")
    if any(counted[status] for status in REFUSED):
        raise click.exceptions.Exit(1)


def _whole(reader: DeadLetters, letter: DeadLetter, store: RecordStore) -> bytes | None:
    """The value of the original, also where the dead letter only points to it; of one that is gone, the pointer's."""
    try:
        return Originals(reader, store).of(letter).value
    except OriginalGoneError:
        return letter.value


def _row(letter: DeadLetter, audited: Audited) -> tuple[str, ...]:
    return (
        str(letter.address),
        f"{letter.written_at:%Y-%m-%d %H:%M:%S}",
        letter.stage,
        letter.reason,
        _origin(letter),
        str(letter.attempt),
        str(letter.case_id or ""),
        (str(audited.redriven) if audited.redriven else "no") if audited.known else "not ours",
    )


def _as_mapping(letter: DeadLetter, audited: Audited) -> dict[str, Any]:
    origin = letter.origin
    return {
        "id": str(letter.address),
        "written_at": letter.written_at.isoformat(timespec="milliseconds"),
        "stage": letter.stage,
        "reason": letter.reason,
        "message": letter.message,
        "attempt": letter.attempt,
        "topic": None if origin is None else origin.topic,
        "partition": None if origin is None else origin.partition,
        "offset": None if origin is None else origin.offset,
        "case_id": None if letter.case_id is None else str(letter.case_id),
        "size_bytes": len(letter.value or b""),
        "sha256": sha256_hex(letter.value),
        **({} if letter.pointer is None else {"points_to": _pointed(letter.pointer)}),
        "audited": audited.known,
        "redriven": audited.redriven,
    }


def _pointed(pointer: Pointer) -> dict[str, Any]:
    return {"size_bytes": pointer.size, "sha256": pointer.sha256, "stored": pointer.stored}


def _payload(letter: DeadLetter, value: bytes | None, registry: Registry) -> dict[str, Any]:
    if value is None:
        return {"record": None, "event": None}
    try:
        name, datum = FactReader(registry).datum(value, letter.origin.topic if letter.origin else topics.DEAD_LETTERS)
    except UndecodableError as error:
        return {"undecodable": str(error), "base64": base64.b64encode(value).decode()}
    return {"record": name, "event": datum}


def _origin(letter: DeadLetter) -> str:
    if letter.origin is None:
        return "unknown"
    return f"{letter.origin.topic}[{letter.origin.partition}]@{letter.origin.offset}"


def _outcome_line(outcome: Outcome) -> str:
    letter = outcome.letter
    return f"{letter.address}  {outcome.status.value}  {letter.reason}  to {_origin(letter).split('[', 1)[0]}"


def _outcome_mapping(outcome: Outcome) -> dict[str, object]:
    letter = outcome.letter
    topic = None if letter.origin is None else letter.origin.topic
    return {"id": str(letter.address), "status": outcome.status.value, "reason": letter.reason, "topic": topic}
