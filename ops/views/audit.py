"""Shows audit reports and trails on a terminal, as JSON, and as metrics."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import click
from rich.text import Text

from ops.terminal.console import plain_console
from ops.terminal.plain import echo, plain
from schemas.events import AuditEntry
from streams.audit.erasure import Remains, unanswered
from streams.audit.report import Kind, Report
from streams.audit.trail import Trail
from streams.broker.received import ReceivedEvent

#: The option for topic names in a cluster that mirrors another one.
topic_prefix = click.option(
    "--prefix",
    envvar="VIGIA_TOPIC_PREFIX",
    default="",
    help="Prefix of the topic names, as in a mirrored cluster (also VIGIA_TOPIC_PREFIX).",
)
#: Findings printed as lines; `--json` has all that the report keeps.
LINES = 50


def print_report(report: Report, seconds: float) -> None:
    """Print what was verified, what is in order, and the findings, each with topic, partition and offset."""
    console = plain_console(soft_wrap=True)
    records = sum(report.records.values())
    console.print(f"{records} records against {report.entries} audit entries in {seconds:.1f} s")
    counted = [f"{count} {name.replace('_', ' ')}" for name, count in report.counted().items() if count]
    if counted:
        console.print("in order: " + ", ".join(counted))
    for note in report.notes:
        console.print(f"note: {note}")
    for finding in report.findings[:LINES]:
        detail = str(finding).removeprefix(finding.kind.value + ": ")
        console.print(Text.assemble((finding.kind.value, "red"), f"  {plain(detail)}"))
    total = sum(report.broken.values())
    if total > LINES:
        console.print(f"… and {total - LINES} more (--json)")
    if report.clean:
        console.print("the chain holds", style="green")
    else:
        named = ", ".join(f"{report.broken[kind]} {kind.value}" for kind in Kind if report.broken[kind])
        console.print(Text.assemble(("the chain is broken", "red"), f": {named}"))


def print_trail(case_id: UUID, trail: Trail) -> None:
    """Print each entry: time, stage and outcome; then model, policy, and the hashes of input and output."""
    echo(f"case {case_id}")
    for entry in trail.entries:
        echo(f"{when(entry.decided_at)}  {entry.stage.value:<15}  {entry.outcome}")
        source = "(from outside)" if entry.input_hash is None else f"from {entry.input_hash[:12]}"
        if trail.unlinked(entry):
            source += " (of which this case's audit knows nothing)"
        by = [f"{name} {version}" for name, version in _versions(entry) if version]
        echo(f"{'':25}{', '.join([*by, f'{source} to {entry.output_hash[:12]} on {entry.topic}'])}")
        if entry.attributes:
            echo(f"{'':25}{'  '.join(f'{name}={value}' for name, value in entry.attributes.items())}")


def _versions(entry: AuditEntry) -> tuple[tuple[str, str | None], ...]:
    return (("model", entry.model_version), ("policy", entry.policy_version))


def print_columns(rows: list[tuple[str, ...]]) -> None:
    """Print rows in aligned columns, each on one line however long, so that a script can split them."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def trail_json(trail: Trail) -> dict[str, object]:
    """The trail in plain values for JSON."""
    return {
        "entries": [{**_entry_json(entry), "linked": not trail.unlinked(entry)} for entry in trail.entries],
        "erased_at": None if trail.erased_at is None else trail.erased_at.isoformat(),
    }


def _entry_json(entry: AuditEntry) -> dict[str, object]:
    received = ReceivedEvent(
        topic=entry.topic,
        partition=0,
        offset=0,
        key=None,
        value=None,
        headers=(),
        timestamp=None,
        decoded=entry,
        error=None,
    )
    event = received.as_mapping()["event"]
    assert isinstance(event, dict)
    return event


def print_remains(image_store: str, left: list[Remains], events: list[ReceivedEvent]) -> None:
    """Print what an erasure leaves, where, and until when."""
    if open_ones := unanswered(events):
        echo(f"{open_ones} escalations are not answered: their clock writes new entries. Resolve them first.")
    for each in left:
        until = "for good" if each.until is None else f"until {each.until:%Y-%m-%d} at the latest"
        echo(f"remains: {each.records} in {each.topic}, {until}")
    pictures = {r.decoded.image.uri for r in events if hasattr(r.decoded, "image") and r.decoded.image is not None}  # type: ignore[union-attr]
    for uri in sorted(pictures):
        echo(f"remains: picture {uri} (other cases may use it; delete it in the store {image_store})")
    echo("remains: whatever subscribers of these topics, backups and mirrored clusters keep")


def textfile(report: Report | None, seconds: float) -> str:
    """The result in Prometheus' text format; without a report, only that the verification failed."""
    lines = [
        "# HELP vigia_audit_verify_success 1 when the last verification came to a result, 0 when it could not be made.",
        "# TYPE vigia_audit_verify_success gauge",
        f"vigia_audit_verify_success {int(report is not None)}",
        "# HELP vigia_audit_verify_seconds Seconds the last verification took.",
        "# TYPE vigia_audit_verify_seconds gauge",
        f"vigia_audit_verify_seconds {seconds:.3f}",
        "# HELP vigia_audit_verify_timestamp_seconds When the last verification ended, in seconds since the epoch.",
        "# TYPE vigia_audit_verify_timestamp_seconds gauge",
        f"vigia_audit_verify_timestamp_seconds {datetime.now(UTC).timestamp():.0f}",
    ]
    if report is not None:
        lines += [
            "# HELP vigia_audit_verify_broken Findings of the last verification.",
            "# TYPE vigia_audit_verify_broken gauge",
            f"vigia_audit_verify_broken {sum(report.broken.values())}",
            "# HELP vigia_audit_verify_findings Findings of the last verification, by kind.",
            "# TYPE vigia_audit_verify_findings gauge",
            *(f'vigia_audit_verify_findings{{kind="{kind.value}"}} {report.broken[kind]}' for kind in Kind),
            "# HELP vigia_audit_verify_counted What was in order and only counted, by name.",
            "# TYPE vigia_audit_verify_counted gauge",
            *(f'vigia_audit_verify_counted{{what="{name}"}} {count}' for name, count in report.counted().items()),
            "# HELP vigia_audit_verify_records Records verified.",
            "# TYPE vigia_audit_verify_records gauge",
            f"vigia_audit_verify_records {sum(report.records.values())}",
            "# HELP vigia_audit_verify_entries Audit entries verified.",
            "# TYPE vigia_audit_verify_entries gauge",
            f"vigia_audit_verify_entries {report.entries}",
        ]
    return "\n".join(lines) + "\n"


def when(at: datetime) -> str:
    """Date and time in UTC, to the millisecond."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
