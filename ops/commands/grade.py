"""`vigia grade`: a finding and its context as JSON in, the decision as JSON out. No broker, no model."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import click

from ops.commands.bad_input import BadInput
from ops.terminal.plain import echo, echo_json
from schemas.events import Lane, ModelStatus, PatientContext, StageClass
from streams.clinical.context import read_context
from streams.clinical.decide import decide_lesions
from streams.clinical.decision import Decision
from streams.clinical.lesions import RawFinding
from streams.clinical.policy import Policy, PolicyError
from streams.stages.policy.file import load_policy

_JUDGED_KEYS = ("stage", "confidence", "probabilities", "abstained")
_FINDING_KEYS = (*_JUDGED_KEYS, "context")
_CASE_KEYS = (*_FINDING_KEYS, "findings", "model_status", "lane", "has_patient_token")


@click.command(short_help="A finding and context as JSON on stdin, the decision as JSON on stdout.")
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path),
    envvar="VIGIA_POLICY_FILE",
    help="A policy of your own instead of the packaged one (also VIGIA_POLICY_FILE).",
)
@click.option("--pretty", is_flag=True, help="Indent the decision, for reading.")
def grade(policy_file: Path | None, pretty: bool) -> None:
    """Read one JSON object, or JSON lines, from stdin; print one decision a case.

    \b
    echo '{"stage": "stage_3", "confidence": 0.45, "context": {"diabetes": true}}' | vigia grade --pretty

    Everything in a case is optional; what is missing is never graded as routine. docs/grade.schema.json describes input
    and output. Decision support for clinicians, not a diagnosis.
    """
    try:
        policy = load_policy(policy_file)
    except PolicyError as error:
        raise BadInput(str(error)) from None
    for decision in decisions(policy, sys.stdin.buffer):
        if pretty:
            echo_json(decision.to_dict(), indent=2)
        else:
            echo(decision.to_json().decode())


def decisions(policy: Policy, stream: BinaryIO) -> Iterator[Decision]:
    """The decision on each case of the input. Raises BadInput, which shows nothing of it."""
    for where, value in read_cases(stream):
        try:
            decision = grade_case(policy, value)
        except ValueError as error:
            raise BadInput(f"{where}{error}") from None
        yield decision


def grade_case(policy: Policy, case: object) -> Decision:
    """The decision on one case in plain JSON values. Raises ValueError naming the field that is wrong."""
    values = _object(case, "input", _CASE_KEYS)
    context = _object(values.get("context"), "context", None)
    if "findings" in values:
        for key in _JUDGED_KEYS:
            if key in values:
                raise ValueError(f"{key} and findings cannot both be given")
        findings = values["findings"]
        if not isinstance(findings, list):
            raise ValueError("findings must be a list")
        entries = [
            (_object(item, f"findings[{i}]", _FINDING_KEYS), f"findings[{i}].") for i, item in enumerate(findings)
        ]
    else:
        entries = [(values, "")] if any(key in values for key in _JUDGED_KEYS) else []
    case_context = read_context(context)
    lesions = [(_finding(entry, path), _own_context(entry, path, context, case_context)) for entry, path in entries]
    has_token = values.get("has_patient_token", True)
    if not isinstance(has_token, bool):
        raise ValueError("has_patient_token must be true or false")
    return decide_lesions(
        policy,
        lesions,
        case_context,
        model_status=ModelStatus(_symbol(values, "model_status", ModelStatus, ModelStatus.JUDGED)),
        lane=Lane(_symbol(values, "lane", Lane, Lane.ROUTINE)),
        has_patient_token=has_token,
    )


def _finding(entry: Mapping[str, object], path: str) -> RawFinding:
    stage = _text_or_null(entry, path, "stage")
    abstained = _text_or_null(entry, path, "abstained")
    probabilities = _object(entry.get("probabilities"), f"{path}probabilities", None)
    numbers = {
        name: _number(probabilities, "", name, f"{path}probabilities, number {at} of {len(probabilities)},")
        for at, name in enumerate(probabilities, start=1)
    }
    return RawFinding(
        # null says that the model abstained; a finding that does not even say so has no class that anybody knows.
        stage=_stage(stage) if stage is not None or ("stage" not in entry and abstained is None) else None,
        confidence=_number(entry, path, "confidence"),
        probabilities={name: number for name, number in numbers.items() if number is not None},
        abstained=abstained,
    )


def _stage(name: str | None) -> StageClass:
    """The class of that name; one that does not exist is a class nobody knows, which is decided on, not refused."""
    return next((stage for stage in StageClass if stage.value == name), StageClass.UNKNOWN)


def _own_context(
    entry: Mapping[str, object], path: str, shared: Mapping[str, object], case_context: PatientContext
) -> PatientContext:
    """The context of one lesion: that of the case, with what the lesion says of itself."""
    own = entry.get("context") if path else None
    if own is None:
        return case_context
    return read_context({**shared, **_object(own, f"{path}context", None)})


def _object(value: object, path: str, keys: tuple[str, ...] | None) -> dict[str, object]:
    """A JSON object, empty for an optional one that is null; `keys` are those it may have, None for any."""
    if value is None and keys is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{path} must be an object")
    for number, key in enumerate(value, start=1):
        if keys is not None and key not in keys:
            # By number: what stands where a name should may be a patient's.
            raise ValueError(
                f"{path} has a key that is not known, number {number} of {len(value)} (known: {', '.join(keys)})"
            )
    return value


def _text_or_null(entry: Mapping[str, object], path: str, key: str) -> str | None:
    value = entry.get(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{path}{key} must be text or null")
    return value


def _number(entry: Mapping[str, object], path: str, key: str, shown: str = "") -> float | None:
    """A number, NaN and infinities included: whether it can be true is for the rules to say.

    `shown` names it in an error, where the key is not one of ours.
    """
    value = entry.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"{shown or path + key} must be a number or null")
    return value


def _symbol(entry: Mapping[str, object], key: str, codes: type[Lane] | type[ModelStatus], default: str) -> str:
    value = entry.get(key)
    known = [code.value for code in codes if code.value != "unknown"]
    if value is None:
        return default
    if value not in known:
        raise ValueError(f"{key} is not known (known: {', '.join(known)})")
    return str(value)


def read_cases(stream: BinaryIO) -> Iterator[tuple[str, object]]:
    """Each case of the input, and how to begin an error about it: `line 3: ` in JSON lines, nothing for one object.

    If the first line that is not blank is a whole JSON value, each line is a case; else the input is one value.
    """
    numbered = ((number, line) for number, line in enumerate(stream, start=1) if line.strip())
    first = next(numbered, None)
    if first is None:
        raise BadInput("no input: pass one JSON object, or JSON lines, on stdin")
    try:
        json.loads(_text(first[1], first[0]))
    except (ValueError, RecursionError):
        yield "", _parse(first[1] + stream.read(), first[0])
        return
    second = next(numbered, None)
    where = "" if second is None else "line {}: "
    lines = chain([first], [] if second is None else [second], numbered)
    for number, line in lines:
        yield where.format(number), _parse(line, number)


def _parse(data: bytes, first_line: int) -> object:
    try:
        return json.loads(_text(data, first_line), object_pairs_hook=_without_duplicates)
    except json.JSONDecodeError as error:
        raise BadInput(f"line {first_line + error.lineno - 1}: is not valid JSON ({error.msg})") from None
    except RecursionError:
        raise BadInput(f"line {first_line}: is nested too deeply") from None
    except ValueError as error:
        raise BadInput(f"line {first_line}: {error}") from None


def _text(data: bytes, line: int) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"line {line}: is not UTF-8 text") from None


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is written twice in one object")
    return found
