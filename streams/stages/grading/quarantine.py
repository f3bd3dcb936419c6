"""What asks a person to look at a case that no stage could process.

It is a grading like any other, of kind `quarantine`, so that its deadline runs on the same clock and its
acknowledgement stops it like any other's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from schemas import ids
from schemas.envelope.audit import audit_attributes
from schemas.envelope.dead_letter import case_id_of, event_id_of
from schemas.envelope.raw import RawRecord, plausible_time
from schemas.events import GradingEvent, GradingKind, Lane, PatientContext, PipelineStage
from schemas.events.carried import carried_where_known
from schemas.record import Record
from streams import topics
from streams.clinical.decide import decide_problem
from streams.clinical.policy import Policy, Problem
from streams.runtime.records import InputProblem, Output, Result
from streams.stages.grading.events import grading_event

#: Reasons that speak of the event or of our own machinery; every other one speaks of the picture.
CLINICAL: Mapping[str, Problem] = {
    "undecodable": Problem.EVENT_UNDECODABLE,
    "registry_unavailable": Problem.EVENT_UNDECODABLE,
    "unexpected_event": Problem.EVENT_UNDECODABLE,
    "invalid_event": Problem.EVENT_INVALID,
    "record_too_large": Problem.EVENT_UNDECODABLE,
    "other_content": Problem.EVENT_INVALID,
    "time_impossible": Problem.EVENT_INVALID,
    "stage_failed": Problem.PROCESSING_FAILED,
    "handling_timeout": Problem.PROCESSING_FAILED,
    "state_unreadable": Problem.PROCESSING_FAILED,
    "misplaced": Problem.PROCESSING_FAILED,
    "refused": Problem.PROCESSING_FAILED,
    "kills_worker": Problem.PROCESSING_FAILED,
    "unreadable": Problem.EVENT_UNDECODABLE,
    "skipped": Problem.PROCESSING_FAILED,
    "timed_out": Problem.PROCESSING_FAILED,
    "notification_failed": Problem.PROCESSING_FAILED,
    # The picture may well be sound: it is we who cannot reach it.
    "store_unavailable": Problem.PROCESSING_FAILED,
}


class Quarantine:
    """Makes the grading that asks for people, under the policy in force."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def ask(
        self, raw: RawRecord, event: Record | None, problem: InputProblem, lane: Lane, *, with_image: bool = True
    ) -> Result:
        """The result that publishes the request; `event` is the decoded one, None where there is none.

        `with_image` False leaves out where its picture is.
        """
        grading = self.grading(raw, event, problem, lane, with_image=with_image)
        asked = Output(
            topic=topics.GRADINGS,
            event=grading,
            outcome=f"quarantined:{problem.reason}",
            stage=PipelineStage.GRADING,
            attributes=audit_attributes({"severity": grading.severity.value}),
        )
        return Result(outputs=(asked,))

    def grading(
        self, raw: RawRecord, event: Record | None, problem: InputProblem, lane: Lane, *, with_image: bool = True
    ) -> GradingEvent:
        """The request as an event. What the broken record does not tell is taken from where and when it was."""
        now = datetime.now(UTC)
        written_at = plausible_time(raw.timestamp_ms, now)
        of_case = carried_where_known(event, {"lane": lane, "captured_at": written_at, "published_at": written_at})
        of_case.setdefault("case_id", case_id_of(raw))
        if not with_image:
            of_case.pop("image", None)
        if problem.reason == "invalid_event":
            # Not believed to be the canary's: people are asked.
            of_case["synthetic"] = False
        decision = decide_problem(
            self._policy,
            CLINICAL.get(problem.reason, Problem.IMAGE_UNUSABLE),
            getattr(event, "context", None) or PatientContext(),
            lane=of_case["lane"],
            # An unreadable event may well have had one: no second alarm for what cannot be known.
            has_patient_token=event is None or of_case.get("patient_token") is not None,
        )
        letter_id = event_id_of(raw)
        return grading_event(
            decision,
            of_case,
            event_id=ids.derived_id(letter_id, "quarantine", self._policy.version),
            source_event_id=getattr(event, "event_id", None) or letter_id,
            kind=GradingKind.QUARANTINE,
            graded_at=now,
            model_version=getattr(event, "model_version", None),
        )
