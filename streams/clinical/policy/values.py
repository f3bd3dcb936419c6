"""The clinical policy as immutable values: what a policy file holds once it has been read and found sound.

Nothing here decides; streams/clinical/decide.py does. Times are whole seconds, texts are pairs of Spanish and English.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from schemas.errors import OneLineError
from schemas.events import EscalationType, ProtocolReference, Reason, ReviewPriority, Severity, StageClass, Text

#: The authorities a rule may rest on. A deadline may rest on the last two only: no guideline sets one.
SOURCES = ("npiap-2016", "minsal-ot-2023", "coquimbo-2021", "vigia", "safety")
DEADLINE_SOURCES = ("vigia", "safety")


class PolicyError(OneLineError, ValueError):
    """A policy that must not be used; one line that names the path inside the file and what is wrong there."""


class Problem(StrEnum):
    """Why an input gives no class, or none that can be trusted. Every policy must answer each with a human review."""

    MODEL_FAILED = "model_failed"
    MODEL_UNAVAILABLE = "model_unavailable"
    NO_FINDING = "no_finding"
    UNKNOWN_CLASS = "unknown_class"
    INVALID_CONFIDENCE = "invalid_confidence"
    INVALID_PROBABILITIES = "invalid_probabilities"
    CLASS_NOT_MOST_PROBABLE = "class_not_most_probable"
    EVENT_UNDECODABLE = "event_undecodable"
    EVENT_INVALID = "event_invalid"
    IMAGE_UNUSABLE = "image_unusable"
    PROCESSING_FAILED = "processing_failed"
    ABSTAINED = "abstained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A name in both languages, and the authority it comes from."""

    source: str
    es: str
    en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSpec:
    """A class of lesion: the MINSAL label and the NPIAP definition."""

    id: StageClass
    label: Label
    definition: Label


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One way in which a fact makes a factor hold; a fact that is unknown makes nothing hold.

    At most one kind of test is set: `any_of` for codes, `drugs` for medication names, bounds for numbers; none: yes/no.
    """

    field: str
    any_of: frozenset[str] = frozenset()
    #: Drug names as tuples of normalised words (streams/clinical/policy/words.py).
    drugs: frozenset[tuple[str, ...]] = frozenset()
    at_least: float | None = None
    at_most: float | None = None
    below: float | None = None

    @property
    def bounded(self) -> bool:
        """Whether this is a comparison of numbers."""
        return self.at_least is not None or self.at_most is not None or self.below is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """Something true of a case that rules speak of; one of its terms is enough."""

    id: str
    terms: tuple[Term, ...]
    #: False where a worse value can undo it, as in a band with two bounds: it may inform, but never escalate.
    monotone: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """When a rule matches: every part that is set must hold, within one lesion. An empty set means "any"."""

    classes: frozenset[StageClass] = frozenset()
    #: Confidence in [confidence_from, confidence_below); None is open. An unusable confidence lies in no band.
    confidence_from: float | None = None
    confidence_below: float | None = None
    factors: frozenset[str] = frozenset()
    problems: frozenset[Problem] = frozenset()
    ambiguous: bool = False
    contraindications_at_least: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What a rule adds: `respond_within_s` to the escalations it asks for, `case_within_s` to every one of the case."""

    severity: Severity | None = None
    escalate: tuple[EscalationType, ...] = ()
    respond_within_s: int | None = None
    case_within_s: int | None = None
    follow_up_s: int | None = None
    recommend: tuple[Text, ...] = ()
    warn: tuple[Text, ...] = ()
    contraindicate: tuple[Text, ...] = ()
    notify: tuple[Text, ...] = ()
    protocols: tuple[ProtocolReference, ...] = ()

    @property
    def informs_only(self) -> bool:
        """Whether the rule changes neither severity, nor reviews, nor deadlines."""
        return self.severity is None and not self.escalate and self.case_within_s is None and self.follow_up_s is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """If `when`, then `then`, because of `reason`.

    `staging`: the text names a class, so it is not said of a mucosal lesion; severity and reviews hold all the same.
    """

    reason: Reason
    staging: bool
    when: Condition
    then: Effects

    @property
    def id(self) -> str:
        """The rule's id in the policy file."""
        return self.reason.rule_id


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationSpec:
    """Whom a type of escalation asks, where, and up which roles it climbs while nobody answers."""

    type: EscalationType
    source: str
    roles: tuple[str, ...]
    channels: tuple[str, ...]
    ladder: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrioritySpec:
    """How soon a review is answered; matches when any of its conditions holds (`always`: otherwise)."""

    id: ReviewPriority
    source: str
    first_response_s: int
    reescalate_every_s: int
    #: For whoever takes it up: the time until it is asked again, of the next role.
    resolve_within_s: int
    escalations: frozenset[EscalationType] = frozenset()
    severity_at_least: Severity | None = None
    confidence_below: float | None = None
    classes: frozenset[StageClass] = frozenset()
    factors: frozenset[str] = frozenset()
    problems: frozenset[Problem] = frozenset()
    always: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """A reference protocol, cited by id and version."""

    reference: ProtocolReference
    source: str
    es: str
    en: str
    steps: tuple[Text, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A sound policy. `hash` is the SHA-256 (hex) of its canonical content: same hash, same decisions."""

    id: str
    version: str
    hash: str
    disclaimer: Text
    #: In order, mildest first.
    severities: Mapping[Severity, Text]
    #: In order, mildest first.
    classes: Mapping[StageClass, ClassSpec]
    ambiguous_within: float
    mucosal_factor: str
    mucosal_reason: str
    factors: Mapping[str, Factor]
    rules: tuple[Rule, ...]
    texts: Mapping[str, Text]
    escalations: Mapping[EscalationType, EscalationSpec]
    roles: Mapping[str, Text]
    priorities: tuple[PrioritySpec, ...]
    #: Added to an escalation that was taken up and not resolved in time.
    unresolved: Reason
    protocols: Mapping[str, Protocol]
    #: Rank of each severity and class, 0 mildest.
    severity_rank: Mapping[Severity, int]
    class_rank: Mapping[StageClass, int]
