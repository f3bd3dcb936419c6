"""What a person reads in a channel: how urgent, who must answer, until when, and under which id.

Channels belong to other companies and end up on lock screens. So nothing of the patient is said, not even the token or
the reasons (a comorbidity is patient data too): whoever is asked looks the case up by the escalation's random id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC

from schemas.events import EscalationEvent, EscalationType, ReviewPriority

_TYPES: Mapping[EscalationType, Mapping[str, str]] = {
    EscalationType.EMERGENCY: {"es": "Emergencia", "en": "Emergency"},
    EscalationType.SPECIALIST_REVIEW: {"es": "Revisión por especialista", "en": "Specialist review"},
    EscalationType.HUMAN_REVIEW: {"es": "Revisión por una persona", "en": "Human review"},
    EscalationType.HIGH_RISK: {"es": "Paciente de alto riesgo", "en": "Patient at high risk"},
    EscalationType.SYSTEM_ERROR: {"es": "Falla del sistema", "en": "System failure"},
}
_ASKS: Mapping[EscalationType, Mapping[str, str]] = {
    EscalationType.EMERGENCY: {"es": "Evalúe al paciente de inmediato.", "en": "Assess the patient at once."},
    EscalationType.SPECIALIST_REVIEW: {
        "es": "Un especialista en heridas debe revisar el caso.",
        "en": "A wound specialist must review the case.",
    },
    EscalationType.HUMAN_REVIEW: {"es": "Una persona debe revisar el caso.", "en": "A person must review the case."},
    EscalationType.HIGH_RISK: {"es": "Revise el plan de prevención.", "en": "Review the prevention plan."},
    EscalationType.SYSTEM_ERROR: {
        "es": "El sistema no pudo completar un paso; revise su estado.",
        "en": "The system could not complete a step; check its state.",
    },
}
_PRIORITIES: Mapping[ReviewPriority, Mapping[str, str]] = {
    ReviewPriority.EMERGENCY: {"es": "EMERGENCIA", "en": "EMERGENCY"},
    ReviewPriority.URGENT: {"es": "URGENTE", "en": "URGENT"},
    ReviewPriority.HIGH: {"es": "ALTA", "en": "HIGH"},
    ReviewPriority.MEDIUM: {"es": "MEDIA", "en": "MEDIUM"},
    ReviewPriority.LOW: {"es": "BAJA", "en": "LOW"},
}


@dataclass(frozen=True, slots=True)
class Message:
    """A title of one line, and a body of plain text."""

    title: str
    body: str


def message(event: EscalationEvent, languages: tuple[str, ...], role_names: Mapping[str, Mapping[str, str]]) -> Message:
    """The message of an escalation in these languages; `role_names` are the policy's, by role and language."""
    titles = [f"[{_PRIORITIES[event.review_priority][one]}] {_TYPES[event.type][one]}" for one in languages]
    bodies = [_body(event, one, role_names.get(event.role, {}).get(one, event.role)) for one in languages]
    return Message(" / ".join(titles), "\n\n".join(bodies))


def _body(event: EscalationEvent, language: str, role: str) -> str:
    until = f"{event.respond_by.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if language == "es":
        lines = [f"Debe responder: {role}, antes de {until}", f"Escalamiento: {event.escalation_id}"]
        missed = f"Nadie respondió a tiempo (nivel {event.level})."
        disclaimer = event.disclaimer.es
    else:
        lines = [f"To answer: {role}, by {until}", f"Escalation: {event.escalation_id}"]
        missed = f"Nobody answered in time (level {event.level})."
        disclaimer = event.disclaimer.en
    parts = [_ASKS[event.type][language], *([missed] if event.level else []), *lines, disclaimer]
    return "\n".join(parts)
