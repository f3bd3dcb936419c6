"""Which groups must exist in this pipeline and what they read: a stage that was never started is seen to lag."""

from __future__ import annotations

from collections.abc import Mapping

from streams import topics

#: As the stages declare it (`Stage.inputs`); a test compares.
PIPELINE_GROUPS: Mapping[str, tuple[str, ...]] = {
    "vigia-inference-emergency": (topics.CASES_EMERGENCY,),
    "vigia-inference-routine": (topics.CASES_ROUTINE,),
    "vigia-grading": (topics.INFERENCES,),
    "vigia-escalation": (topics.GRADINGS, topics.ACKNOWLEDGEMENTS, topics.TICKS),
}
