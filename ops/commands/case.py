"""`vigia case`: the story of one case, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

import click

from ops.system.context import load_settings
from ops.terminal.plain import echo, echo_json
from ops.views.audit import topic_prefix, trail_json, when
from schemas.envelope.dead_letter import PREFIX
from schemas.events import (
    AcknowledgementEvent,
    AuditEntry,
    CaseEvent,
    EscalationEvent,
    GradingEvent,
    InferenceEvent,
    PatientContext,
    PipelineStage,
    Reason,
    Text,
)
from schemas.serde import Serde
from streams import topics
from streams.audit.trail import CaseReader, Trail, moment
from streams.broker.received import ReceivedEvent


@click.group("case")
def case() -> None:
    """One case: one picture of one patient at one time."""


@case.command("show")
@click.argument("case_id", type=click.UUID, metavar="CASE")
@click.option("--language", type=click.Choice(["es", "en", "both"]), default="both", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Write events and audit entries whole, as JSON.")
@topic_prefix
def show(case_id: UUID, language: str, as_json: bool, prefix: str) -> None:
    """What happened to CASE: the picture, what the model said, what was decided and why, who was asked, who answered.

    Exit code 1 when nothing is known of it. Decision support for clinicians, not a diagnosis.
    """
    settings = load_settings()
    reader = CaseReader(settings.bootstrap_servers, Serde(settings.schema_registry_url), prefix=prefix)
    events, trail = reader.events(case_id), reader.trail(case_id)
    if as_json:
        told = {"case_id": str(case_id), "events": [e.as_mapping() for e in events], "audit": trail_json(trail)}
        echo_json(told, indent=2)
    else:
        echo(f"case {case_id}")
        languages = ("es", "en") if language == "both" else (language,)
        revisions = _revisions(events)
        for received in events:
            for line in _told(received, trail, languages, revisions):
                echo(line)
        for line in _only_audited(events, trail):
            echo(line)
    if not events and not trail.entries and trail.erased_at is None:
        raise click.ClickException(f"nothing is known of case {case_id}")


def _revisions(events: Sequence[ReceivedEvent]) -> dict[UUID, int]:
    """Event id → which revision of the case it speaks of, where a context was corrected; else nothing."""
    contexts: list[PatientContext] = []
    found: dict[UUID, int] = {}
    for received in events:
        event = received.decoded
        if isinstance(event, CaseEvent):
            if event.context not in contexts:
                contexts.append(event.context)
            found[event.event_id] = contexts.index(event.context) + 1
        elif (source := getattr(event, "source_event_id", None)) in found:
            found[event.event_id] = found[source]  # type: ignore[union-attr]  # it has a source, and so an id
    return found if len(contexts) > 1 else {}


def _told(
    received: ReceivedEvent, trail: Trail, languages: tuple[str, ...], revisions: Mapping[UUID, int]
) -> Iterator[str]:
    """A heading with time and place, and what a reader wants to know below it."""
    event = None if received.topic == topics.DEAD_LETTERS else received.decoded
    place = f"{received.topic}[{received.partition}]@{received.offset}"
    revision = revisions.get(getattr(event, "event_id", UUID(int=0)))
    of = "" if revision is None else f", revision {revision}"
    yield f"\n{when(moment(received))} UTC  {_heading(received, trail)}{of}   ({place})"
    match event:
        case CaseEvent():
            yield f"  picture {event.image.uri} ({event.image.media_type}, {event.image.size_bytes} bytes)"
            yield f"  captured {when(event.captured_at)}, published by {event.producer}"
            known = ", ".join(
                name for name in event.context.__dataclass_fields__ if getattr(event.context, name) is not None
            )
            yield f"  context given: {known or 'none'} (values: --json)"
        case InferenceEvent():
            yield from _finding(event)
        case GradingEvent():
            yield from _decision(event, languages)
        case EscalationEvent():
            yield f"  {event.role} is asked to answer by {when(event.respond_by)} UTC ({event.review_priority.value})"
            yield f"  roles {', '.join(event.roles)}; channels {', '.join(event.channels)}"
            yield f"  escalation {event.escalation_id}"
        case AcknowledgementEvent():
            staged = f"; staged as {event.resolved_stage.value}" if event.resolved_stage else ""
            yield f"  by {event.role}; escalation {event.escalation_id}{staged}"


def _heading(received: ReceivedEvent, trail: Trail) -> str:
    if received.topic == topics.DEAD_LETTERS:
        headers = {name: (value or b"").decode(errors="replace") for name, value in received.headers}
        return f"dead letter of {headers.get(PREFIX + 'stage')}: {headers.get(PREFIX + 'message')}"
    match received.decoded:
        case CaseEvent() as event:
            return f"case published, {event.lane.value} lane"
        case InferenceEvent() as event:
            return f"model {event.model_version or 'none'}: {event.model_status.value}"
        case GradingEvent() as event:
            return f"{event.kind.value}: {event.severity.value} (policy {event.policy_version})"
        case EscalationEvent() as event:
            return f"escalation {event.type.value}, level {event.level}"
        case AcknowledgementEvent() as event:
            outcome = _outcome_of(str(event.event_id), trail)
            return f"{event.action.value}: {outcome or 'not yet taken up'}"
    return f"cannot be read: {received.error or 'no value'}"


def _finding(event: InferenceEvent) -> Iterator[str]:
    if event.failure:
        yield f"  no finding: {event.failure}"
    for finding in event.findings:
        if finding.stage is None:
            yield f"  declined: {finding.abstained}"
            continue
        yield f"  {finding.stage.value}, confidence {finding.confidence:.2f}"
        ranked = sorted(finding.probabilities.items(), key=lambda each: -each[1])
        yield "  " + ", ".join(f"{name} {probability:.2f}" for name, probability in ranked[:4])
    if event.heat_map is not None:
        yield f"  heat map {event.heat_map.uri}"


def _decision(event: GradingEvent, languages: tuple[str, ...]) -> Iterator[str]:
    confidence = "" if event.confidence is None else f", confidence {event.confidence:.2f}"
    yield f"  stage {event.stage.value if event.stage else 'none given'}{confidence}"
    parts: tuple[tuple[str, str, Sequence[Reason | Text]], ...] = (
        ("motivo", "because", event.reasons),
        ("recomendación", "recommended", event.recommendations),
        ("advertencia", "warning", event.warnings),
        ("contraindicado", "contraindicated", event.contraindications),
    )
    for spanish, english, texts in parts:
        for text in texts:
            source = f" [{text.source}, {text.rule_id}]" if isinstance(text, Reason) else ""
            if "es" in languages:
                yield f"  {spanish}: {text.es}{source}"
            if "en" in languages:
                yield f"  {english}: {text.en}{source}"
    for request in event.escalations:
        yield f"  asks for {request.type.value} within {request.respond_within_s} s: {', '.join(request.reasons)}"


def _outcome_of(ack_event_id: str, trail: Trail) -> str | None:
    for entry in trail.entries:
        if entry.stage is PipelineStage.ACKNOWLEDGEMENT and ack_event_id == entry.attributes.get("ack_event_id"):
            return entry.outcome
    return None


def _only_audited(events: list[ReceivedEvent], trail: Trail) -> Iterator[str]:
    """What the audit tells beyond the events: those that retention has deleted, and what never was one."""
    present = {getattr(received.decoded, "event_id", None) for received in events}
    letters = any(received.topic == topics.DEAD_LETTERS for received in events)

    def is_told(entry: AuditEntry) -> bool:
        named = entry.attributes.get("ack_event_id", str(entry.event_id))
        return named in map(str, present) or (entry.topic == topics.DEAD_LETTERS and letters)

    left = [entry for entry in trail.entries if not is_told(entry)]
    if left:
        yield "\nonly the audit tells:"
    for entry in left:
        yield f"{when(entry.decided_at)} UTC  {entry.stage.value}: {entry.outcome}   ({entry.topic})"
    if trail.erased_at is not None:
        yield f"\nthe audit of this case was erased {when(trail.erased_at)} UTC"
