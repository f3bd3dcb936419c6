"""JSON to the command line: `vigia grade` and `vigia publish --context`, by the functions behind them.

An error is one line, shows nothing of the input, and no input does anything else.
"""

from __future__ import annotations

import io
import json
from random import Random
from typing import Any

from ops.commands.bad_input import BadInput
from ops.commands.grade import decisions
from ops.commands.publish import context_option
from ops.terminal.plain import UNSAFE_IN_BLOCK
from streams.clinical.context import ContextError, read_context
from streams.clinical.policy import Policy
from streams.stages.policy.file import packaged_policy
from tests.fuzz.mutation import NAME, as_json, changed

CONTEXT: dict[str, Any] = {
    "age": 85, "diabetes": True, "medications": ["warfarin"], "infection_signs": ["fever"], "albumin_g_dl": 3.1,
    "braden_subscores": {"sensory": 2, "moisture": 2, "activity": 1, "mobility": 1, "nutrition": 2, "friction": 1},
    "anatomical_location": "sacro", "mobility": "bed",
}  # fmt: skip
CASES: tuple[Any, ...] = (
    {"stage": "stage_3", "confidence": 0.45, "probabilities": {"stage_3": 0.45, "none": 0.5}, "context": CONTEXT},
    {
        "findings": [{"stage": "stage_1", "confidence": 0.9, "context": {"age": 3}}, {"stage": None}],
        "lane": "emergency",
    },
    {"stage": None, "abstained": "too_dark", "model_status": "judged", "has_patient_token": False},
    {},
)
#: Longest line of an error: it names keys of ours, and nothing else.
LONGEST = 2_000


class Target:
    """One stdin, or one `--context`, at a time."""

    def __init__(self) -> None:
        self._policy: Policy = packaged_policy()

    def run(self, rng: Random) -> str:
        """One input."""
        try:
            if rng.random() < 0.3:
                return self._context(rng)
            return self._grade(rng)
        except BadInput as error:
            refused = str(error.message)
        check_line(refused)
        return "refused"

    def close(self) -> None:
        """Nothing is held."""

    def _grade(self, rng: Random) -> str:
        cases = [changed(rng, rng.choice(CASES), rng.choice((0.0, 0.05, 0.2))) for _ in range(rng.choice((1, 1, 1, 3)))]
        stream = io.BytesIO(b"\n".join(as_json(rng, case) for case in cases))
        count = 0
        for decision in decisions(self._policy, stream):
            told = json.loads(decision.to_json())
            assert told["severity"]
            count += 1
        assert count, "neither a decision nor an error"
        return "decided"

    def _context(self, rng: Random) -> str:
        text = as_json(rng, changed(rng, CONTEXT, 0.1)).decode(errors="surrogateescape")
        if text.startswith("@"):
            return "a file's name"
        values = context_option(text)
        try:
            read_context(values)
        except ContextError as error:
            # As `vigia publish` says it.
            raise BadInput(str(error)) from None
        return "understood"


def check_line(line: str) -> None:
    """What stderr is given of a refusal."""
    assert len(line.splitlines()) == 1, "more than a line"
    assert len(line) <= LONGEST, f"a line of {len(line)} characters"
    assert NAME not in line, "the error shows what was given"
    assert not UNSAFE_IN_BLOCK.search(line), "it would reach a terminal raw"
