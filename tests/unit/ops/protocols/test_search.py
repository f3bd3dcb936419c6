"""Protocols and rules are found in both languages, as people type, and nothing that is typed is FTS5's language."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from ops.commands.protocols import protocols
from ops.protocols.search import Passage, PassageKind, PolicySearch
from streams.stages.policy.file import load_policy

QUESTIONS: dict[str, list[str]] = yaml.safe_load((Path(__file__).parent / "questions.yaml").read_text(encoding="utf-8"))
POLICY = load_policy(None)
SEARCH = PolicySearch(POLICY)


def name(passage: Passage) -> str:
    return f"{passage.id}#{passage.section}" if passage.section else passage.id


def test_questions_name_passages_that_are_there() -> None:
    known = {name(passage) for passage, _ in SEARCH._passages}
    assert {wanted for answers in QUESTIONS.values() for wanted in answers} <= known


def test_the_answer_is_among_the_first_three() -> None:
    """Recall@3; measured: 112 of 115."""
    assert len(QUESTIONS) >= 100
    missed = [
        question
        for question, answers in QUESTIONS.items()
        if not {name(each) for each in SEARCH.find(question, 3)} & {*answers}
    ]
    assert len(missed) <= 0.05 * len(QUESTIONS), missed


@pytest.mark.parametrize("question", ["talón", "TALON", "talones", "heel", "Heels", "¿talón?"])
def test_accents_case_number_and_language_make_no_difference(question: str) -> None:
    assert SEARCH.find(question)[0].id == "location_heel"


def test_every_protocol_step_rule_and_class_can_be_found_by_its_own_words() -> None:
    for passage, _ in SEARCH._passages:
        for text in (passage.es, passage.en):
            assert passage in SEARCH.find(text, limit=5), text


def test_a_citation_names_version_step_and_source() -> None:
    (first, *_) = SEARCH.find("suero fisiológico")
    assert (first.kind, first.citation) == (PassageKind.PROTOCOL, "lpp_stage_2_treatment 1.0.0, step 2 (vigia)")


@given(
    st.text(max_size=200)
    | st.sampled_from(['"', "NEAR(a b)", "es:x", "a*", "talón AND", "-talón", "{es}:", "(", "x" * 10**5])
)
def test_whatever_is_typed_is_only_words(question: str) -> None:
    assert isinstance(SEARCH.find(question), list)


def test_the_command_prints_passages_with_citation_and_disclaimer() -> None:
    shown = CliRunner().invoke(protocols, ["search", "talón"]).output
    assert "Descarga de talones (talón libre de apoyo)" in shown
    assert f"[rule location_heel {POLICY.version} (vigia)]" in shown
    assert shown.endswith(f"{POLICY.disclaimer.es}\n")


def test_the_command_says_that_nothing_was_found() -> None:
    result = CliRunner().invoke(protocols, ["search", "--lang", "en", "bicycle"])
    assert (result.exit_code, result.output.splitlines()[0]) == (0, "No passage holds any of these words.")


def test_json_holds_both_languages() -> None:
    result = CliRunner().invoke(protocols, ["search", "--json", "--limit", "1", "cultivo"])
    (passage,) = json.loads(result.output)
    assert passage["es"]
    assert passage["en"]


def test_a_protocol_is_shown_step_by_step() -> None:
    shown = CliRunner().invoke(protocols, ["show", "lpp_emergency", "--lang", "en"]).output
    assert "  1. Recognise cellulitis" in shown
    assert CliRunner().invoke(protocols, ["show", "no_such"]).exit_code != 0
