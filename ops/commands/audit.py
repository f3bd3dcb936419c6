"""`vigia audit`: does the chain of decisions hold; who decided what, and why; and erasing a case from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ops.system.context import load_settings
from ops.terminal.console import plain_console
from ops.terminal.plain import echo, echo_json
from ops.views.audit import print_remains, print_report, print_trail, textfile, topic_prefix, trail_json, when
from schemas.envelope.pointer import Pointer
from schemas.errors import ContractError
from schemas.registry import Registry
from schemas.serde import Serde
from streams.audit.auditor import MEMORY_BYTES, Auditor, Ready
from streams.audit.erasure import EraseError, erase, remains
from streams.audit.parts import NoRoomError
from streams.audit.trail import CaseReader
from streams.broker.read import UnreadableError
from streams.dead_letters.originals import kept_of
from streams.dead_letters.read import DeadLetters
from streams.images.errors import OutsideStoreError, StoreUnavailableError
from streams.images.records import RecordStore
from streams.settings import SettingsError

ERR = plain_console(stderr=True)
#: Below so many offsets a bar would be gone before it is seen.
SHOW_BAR_FROM = 20_000


class CannotTell(click.ClickException):
    """The question could not be answered, which is not the same as a bad answer: exit 2."""

    exit_code = 2


@click.group("audit")
def audit() -> None:
    """The chain of decisions, from a published case to the last answer."""


@audit.command("verify")
@click.option("--case", "case_id", type=click.UUID, help="Only this case; reads only its partition.")
@click.option("--json", "as_json", is_flag=True, help="Write the report as JSON.")
@click.option(
    "--metrics",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the result to this file, for node_exporter's textfile collector (name it *.prom).",
)
@click.option("--memory", default=MEMORY_BYTES >> 20, show_default=True, type=click.IntRange(min=1), help="MiB to use.")
@topic_prefix
def verify(case_id: UUID | None, as_json: bool, metrics: Path | None, memory: int, prefix: str) -> None:
    """Hold every record against its audit entry, and walk the hashes from what was ingested to what was answered.

    Works on a running pipeline. Exit code 0: the chain holds; 1: it is broken, and how; 2: it could not be verified.
    """
    started = time.monotonic()
    try:
        with _one_line_errors():
            settings = load_settings()
            with Registry(settings.schema_registry_url) as registry, _bar() as on_ready:
                auditor = Auditor(settings.bootstrap_servers, registry, prefix=prefix)
                report = auditor.verify(case_id, memory_bytes=memory << 20, on_ready=on_ready)
    except CannotTell:
        if metrics is not None:
            _write(metrics, textfile(None, time.monotonic() - started))
        raise
    if metrics is not None:
        _write(metrics, textfile(report, time.monotonic() - started))
    if as_json:
        echo_json(report.as_json(), indent=2)
    else:
        print_report(report, time.monotonic() - started)
    if not report.clean:
        raise click.exceptions.Exit(1)


@audit.command("show")
@click.argument("case_id", type=click.UUID, metavar="CASE")
@click.option("--json", "as_json", is_flag=True, help="Write the entries as JSON.")
@topic_prefix
def show(case_id: UUID, as_json: bool, prefix: str) -> None:
    """Who decided what about CASE, when, by which model and policy, and from what.

    Exit code 1 when the audit has nothing on the case.
    """
    with _one_line_errors():
        settings = load_settings()
        serde = Serde(settings.schema_registry_url)
        trail = CaseReader(settings.bootstrap_servers, serde, prefix=prefix).trail(case_id)
    if as_json:
        echo_json(trail_json(trail), indent=2)
    elif trail.entries:
        print_trail(case_id, trail)
    if trail.erased_at is not None and not as_json:
        echo(f"erased {when(trail.erased_at)}; entries above, if any, are newer")
    if not trail.entries and trail.erased_at is None:
        raise click.ClickException(f"the audit has nothing on case {case_id}")


@audit.command("erase")
@click.argument("case_id", type=click.UUID, metavar="CASE")
@click.option("--yes", is_flag=True, help="Erase. Without it, only what would be erased is told.")
@click.option(
    "--ground",
    type=click.Choice(["subject_request", "retention_over", "published_in_error", "court_order"]),
    default="subject_request",
    show_default=True,
    help="Why; written into the one entry that remains.",
)
@topic_prefix
def erase_case(case_id: UUID, yes: bool, ground: str, prefix: str) -> None:
    """Delete every audit entry of CASE, and write that this was done.

    Event topics lose single records only by age, and pictures may belong to several cases: what is left of the case is
    listed, with where and until when. `vigia audit verify` counts it as erased, not as broken. Values that no dead
    letter could hold are deleted from the record store.
    """
    with _one_line_errors():
        settings = load_settings()
        serde = Serde(settings.schema_registry_url)
        reader = CaseReader(settings.bootstrap_servers, serde, prefix=prefix)
        entries = len(reader.trail(case_id).entries)
        events = reader.events(case_id)
        letters = DeadLetters(settings.bootstrap_servers, prefix=prefix).letters()
        kept, shared = kept_of(letters, case_id)
        # Before the entries: once these are gone, nobody is reminded to come again.
        there = _delete_kept(RecordStore.from_settings(settings), kept, really=yes)
        if entries == 0:
            echo(f"the audit has nothing (more) on case {case_id}")
        elif yes:
            deleted = erase(reader, serde, settings.bootstrap_servers, case_id, ground=ground)
            echo(f"erased {deleted} audit entries of case {case_id}")
        else:
            echo(f"would erase {entries} audit entries of case {case_id}; to do it: --yes")
    if shared:
        echo(f"remains: {shared} values in the record store, which other cases have too")
    print_remains(settings.image_store, remains(events), events)
    if (entries or there) and not yes:
        raise click.exceptions.Exit(1)


def _delete_kept(store: RecordStore, kept: list[Pointer], *, really: bool) -> int:
    """Delete these from the record store, or say that it would be done; how many of them are there."""
    there = elsewhere = 0
    for pointer in kept:
        try:
            there += (store.remove if really else store.holds)(pointer.stored or "", pointer.sha256 or "")
        except OutsideStoreError:
            elsewhere += 1
    if there:
        echo(f"{'deleted' if really else 'would delete'} {there} of its values from the record store")
    if elsewhere:
        echo(f"remains: {elsewhere} values in another store than VIGIA_IMAGE_STORE; their dead letters name it")
    return there


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except (SettingsError, UnreadableError, NoRoomError, ContractError, EraseError, StoreUnavailableError) as error:
        raise CannotTell(str(error)) from None


@contextmanager
def _bar() -> Iterator[Callable[[Ready], Callable[[int], None]]]:
    """Shows how much was read, on a terminal and where it takes a while."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=ERR, transient=True, disable=not ERR.is_terminal) as progress:

        def on_ready(ready: Ready) -> Callable[[int], None]:
            if ready.offsets < SHOW_BAR_FROM:
                return lambda _: None
            title = "verifying" if ready.parts == 1 else f"verifying in {ready.parts} parts"
            task = progress.add_task(title, total=ready.offsets)
            return lambda passed: progress.advance(task, passed)

        yield on_ready


def _write(path: Path, text: str) -> None:
    # A collector must never read half a file.
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise CannotTell(f"{path} cannot be written: {error.strerror}") from None
