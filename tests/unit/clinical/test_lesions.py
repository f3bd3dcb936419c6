"""A finding is read with suspicion: what contradicts itself is a problem, and the more cautious figure counts."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from schemas.events import Finding
from schemas.events import StageClass as Stage
from streams.clinical.lesions import Lesion, RawFinding, read_lesion
from streams.clinical.policy import Problem


def read(
    stage: Stage | None, confidence: float | None, probabilities: Mapping[str, float] | None = None, **more: str
) -> Lesion:
    return read_lesion(RawFinding(stage=stage, confidence=confidence, probabilities=probabilities or {}, **more), 0.2)


def test_a_finding_of_an_event_is_read_as_it_stands() -> None:
    finding = Finding(stage=Stage.STAGE_2, confidence=0.8, probabilities={"stage_2": 0.8, "stage_1": 0.2})
    lesion = read_lesion(finding, 0.2)
    assert lesion == Lesion(
        stage=Stage.STAGE_2,
        confidence=0.8,
        classes=frozenset({Stage.STAGE_2}),
        certainty=0.8,
        ambiguous=False,
        problems=frozenset(),
    )


def test_where_confidence_and_probability_differ_the_lower_one_counts_and_the_measured_one_is_kept() -> None:
    lesion = read(Stage.STAGE_2, 0.9, {"stage_2": 0.55})
    assert (lesion.confidence, lesion.certainty) == (0.9, 0.55)
    assert read(Stage.STAGE_2, 0.5, {"stage_2": 0.9}).certainty == 0.5


def test_probabilities_that_leave_out_the_class_are_completed_by_its_confidence() -> None:
    assert read(Stage.STAGE_2, 0.45, {"stage_4": 0.4}).ambiguous


def test_of_two_equal_rivals_every_injury_governs() -> None:
    lesion = read(Stage.STAGE_1, 0.4, {"stage_1": 0.4, "stage_2": 0.3, "stage_4": 0.3})
    assert lesion.classes == {Stage.STAGE_1, Stage.STAGE_2, Stage.STAGE_4}


def test_only_the_two_best_are_compared() -> None:
    lesion = read(Stage.STAGE_1, 0.5, {"stage_1": 0.5, "none": 0.3, "stage_4": 0.2})
    assert not lesion.ambiguous
    assert lesion.classes == {Stage.STAGE_1}


def test_class_none_is_never_ambiguous() -> None:
    assert not read(Stage.NONE, 0.5, {"none": 0.5, "stage_1": 0.45}).ambiguous


def test_a_class_that_is_not_the_most_probable_is_a_problem_and_the_likelier_injury_governs() -> None:
    lesion = read(Stage.NONE, 0.2, {"none": 0.2, "stage_3": 0.7})
    assert lesion.problems == {Problem.CLASS_NOT_MOST_PROBABLE}
    assert Stage.STAGE_3 in lesion.classes
    assert read(Stage.STAGE_1, 0.3, {"stage_1": 0.3, "none": 0.7}).classes == {Stage.STAGE_1}


def test_a_tie_is_no_contradiction() -> None:
    assert not read(Stage.STAGE_1, 0.5, {"stage_1": 0.5, "stage_2": 0.5}).problems


@pytest.mark.parametrize(
    "probabilities",
    [
        pytest.param({"stage_5": 0.1}, id="unknown class"),
        pytest.param({"unknown": 0.1}, id="the unknown symbol"),
        pytest.param({"stage_1": float("nan")}, id="NaN"),
        pytest.param({"stage_1": -0.1}, id="negative"),
        pytest.param({"stage_1": 1.1}, id="above 1"),
        pytest.param({"stage_2": 0.8, "stage_1": 0.3}, id="sum above 1"),
    ],
)
def test_impossible_probabilities_are_a_problem_and_nothing_else_is_read_from_them(
    probabilities: dict[str, float],
) -> None:
    lesion = read(Stage.STAGE_2, 0.8, probabilities)
    assert lesion.problems == {Problem.INVALID_PROBABILITIES}
    assert lesion.classes == {Stage.STAGE_2}
    assert lesion.certainty == 0.8


def test_seven_rounded_probabilities_are_not_impossible() -> None:
    rounded = dict.fromkeys(("none", "stage_1", "stage_2", "stage_3", "stage_4", "unstageable", "dtpi"), 0.1434)
    assert not read(Stage.NONE, 0.1434, rounded).problems


def test_a_model_that_abstained_has_no_class_whatever_else_it_says() -> None:
    lesion = read(Stage.NONE, 0.99, {"none": 0.99}, abstained="too_dark")
    assert (lesion.stage, lesion.certainty, lesion.problems) == (None, None, {Problem.ABSTAINED})
    assert read(None, None).problems == {Problem.ABSTAINED}
    assert read(None, float("nan")).problems == {Problem.ABSTAINED, Problem.INVALID_CONFIDENCE}


def test_an_unknown_class_is_a_problem_and_no_class() -> None:
    lesion = read(Stage.UNKNOWN, 0.3)
    assert (lesion.stage, lesion.problems) == (None, {Problem.UNKNOWN_CLASS})
    assert lesion.certainty == 0.3
