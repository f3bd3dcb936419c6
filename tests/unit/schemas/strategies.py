"""Hypothesis strategies for events: every value that the constraints allow, from the plans the code is made of."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from hypothesis import strategies as st

from schemas.canary import PRODUCER
from schemas.constraints import Finite, Known, Length, Pattern, Range
from schemas.events import CaseEvent, Finding, InferenceEvent, ModelStatus, PatientContext
from schemas.plans import FieldPlan
from schemas.record import Record

R = TypeVar("R", bound=Record)

TIMES = st.datetimes(datetime(1970, 1, 1), datetime(9998, 12, 31)).map(lambda moment: moment.replace(tzinfo=UTC))


@cache
def events(record: type[R]) -> st.SearchStrategy[R]:
    """Any valid instance of `record`."""
    fields = {name: values(plan) for name, plan in record.__avro__.fields.items()}
    if record is InferenceEvent:
        # A judged case has findings.
        judged = st.builds(record, **fields | {"findings": st.tuples(events(Finding))})
        others = st.sampled_from([s for s in ModelStatus if s not in (ModelStatus.UNKNOWN, ModelStatus.JUDGED)])
        return judged | st.builds(record, **fields | {"model_status": others})
    if record is CaseEvent:
        # A synthetic case is nobody's, and carries the canary's proof.
        canary = {"synthetic": st.just(True), "producer": st.just(PRODUCER), "patient_token": st.none()}
        proof = {"context": st.just(PatientContext()), "proof": values(record.__avro__.fields["proof"]).filter(bool)}
        return st.builds(record, **fields | {"synthetic": st.just(False)}) | st.builds(
            record, **fields | canary | proof
        )
    return st.builds(record, **fields)


def values(plan: FieldPlan) -> st.SearchStrategy[Any]:
    """Any value that `plan` allows."""
    found = _values(plan)
    return st.none() | found if plan.optional else found


def _values(plan: FieldPlan) -> st.SearchStrategy[Any]:
    length = next((c for c in plan.constraints if isinstance(c, Length)), Length(0, 20))
    limits = {"min_size": length.low, "max_size": min(length.high, 5)}
    match plan.kind:
        case "boolean":
            return st.booleans()
        case "long":
            (bounds,) = (c for c in plan.constraints if isinstance(c, Range))
            return st.integers(int(bounds.low), int(bounds.high))
        case "double":
            if any(isinstance(c, Finite) for c in plan.constraints):
                return st.floats(allow_nan=False, allow_infinity=False)
            (bounds,) = (c for c in plan.constraints if isinstance(c, Range))
            return st.floats(bounds.low, bounds.high)
        case "string":
            for pattern in plan.constraints:
                if isinstance(pattern, Pattern):
                    return st.from_regex(pattern.regex, fullmatch=True)
            return st.text(st.characters(exclude_categories=["Cs"]), **limits)
        case "uuid":
            return st.uuids()
        case "time":
            return TIMES
        case "enum":
            known = any(isinstance(c, Known) for c in plan.constraints)
            return st.sampled_from([s for s in plan.python if not (known and s.value == "unknown")])
        case "array":
            assert plan.item is not None
            return st.lists(values(plan.item), **limits).map(tuple)
        case "map":
            assert plan.item is not None
            return st.dictionaries(
                st.text(st.characters(exclude_categories=["Cs"]), max_size=8), values(plan.item), max_size=4
            )
        case _:
            return events(plan.python)
