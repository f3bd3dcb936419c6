"""`vigia publish`: put a wound picture, or a folder of them, into the pipeline, and wait until the broker has it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.progress import Progress

from ops.commands.bad_input import BadInput
from ops.system.context import load_settings
from ops.terminal.console import plain_console
from ops.terminal.plain import echo, echo_json
from streams.client import (
    PUBLISH_ERRORS,
    CaseConflictError,
    CaseProducer,
    InvalidCaseError,
    NewCase,
    PublishedCase,
    RefusedCase,
)
from streams.client.tokens import PatientCodeError, TokenKeyMissingError
from streams.images.errors import ImageError
from streams.settings import SettingsError

#: A person waits for the answer: half of what a program is given.
ACKNOWLEDGE_WITHIN_S = 15.0

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
#: Trying again gives the same: exit code 2, as for wrong usage.
_BAD_INPUT = (InvalidCaseError, PatientCodeError, ImageError, CaseConflictError)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Common:
    """What all pictures of one call share."""

    patient_code: str | None
    context: Mapping[str, object]
    analysis_type: str | None
    captured_at: datetime | None
    accept_unreadable: bool

    def case(self, image: Path) -> NewCase:
        return NewCase(
            image=image,
            patient_code=self.patient_code,
            context=self.context,
            analysis_type=self.analysis_type,
            captured_at=self.captured_at,
            accept_unreadable=self.accept_unreadable,
        )


@click.command("publish")
@click.option("--image", type=click.Path(path_type=Path), help="Picture to publish: JPEG, PNG or WebP.")
@click.option("--dir", "folder", type=click.Path(path_type=Path), help="Publish all pictures of this folder instead.")
@click.option(
    "--patient-code", help="Code such as CD-2025-001; '-' reads it from stdin, where no process list shows it."
)
@click.option("--unidentified", is_flag=True, help="The patient is not identified yet; a human is asked too.")
@click.option("--context", default="{}", help="What is known of the patient, as JSON; @FILE reads it from a file.")
@click.option("--analysis-type", type=click.Choice(["emergency", "routine"]), help="Lane; routine unless given.")
@click.option(
    "--captured-at",
    help="ISO 8601 with a time zone. Default: the camera's own time if it is certain, else when the file was changed.",
)
@click.option("--producer", "name", default="vigia-publish", show_default=True, help="Name of the publishing system.")
@click.option(
    "--accept-unreadable",
    is_flag=True,
    help="Publish what is no picture too: a human is asked; hash and size are kept.",
)
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object a case.")
def command(
    image: Path | None,
    folder: Path | None,
    patient_code: str | None,
    unidentified: bool,
    context: str,
    analysis_type: str | None,
    captured_at: str | None,
    name: str,
    accept_unreadable: bool,
    as_json: bool,
) -> None:
    """Publish a wound picture as a case and wait until the broker has it.

    \b
    vigia publish --image heel.jpg --patient-code CD-2025-001 \\
      --context '{"age": 85, "diabetes": true}' --analysis-type emergency

    The picture goes to the image store without its metadata, the code becomes a token; the same picture, patient and
    time again are the same case. Exit code 2: the input is wrong; 1: something is not there, try again.
    """
    if (image is None) == (folder is None):
        raise click.UsageError("give --image or --dir")
    if (patient_code is None) == (not unidentified):
        raise click.UsageError("give --patient-code, or say --unidentified")
    common = _Common(
        patient_code=sys.stdin.readline().strip() if patient_code == "-" else patient_code,
        context=context_option(context),
        analysis_type=analysis_type,
        captured_at=_time(captured_at),
        accept_unreadable=accept_unreadable,
    )
    try:
        with CaseProducer(load_settings(), name=name, acknowledge_within_s=ACKNOWLEDGE_WITHIN_S) as producer:
            if image is not None:
                (answer,) = producer.publish_many([common.case(image)])
                _show_one(answer, as_json)
            elif folder is not None:
                _show_many(producer, [common.case(path) for path in _pictures(folder)], as_json)
    except (SettingsError, TokenKeyMissingError, *PUBLISH_ERRORS) as error:
        raise _failure(error) from None


def _show_one(answer: PublishedCase | RefusedCase, as_json: bool) -> None:
    if isinstance(answer, RefusedCase):
        raise answer.error
    _show(answer, as_json)


def _show_many(producer: CaseProducer, cases: list[NewCase], as_json: bool) -> None:
    refused: list[Exception] = []
    console = plain_console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("publishing", total=len(cases))
        for number, answer in enumerate(producer.publish_many(cases), start=1):
            progress.advance(bar)
            if isinstance(answer, RefusedCase):
                refused.append(answer.error)
                # By number: a file's name may be a patient's.
                echo(f"picture {number} of {len(cases)} by name: {answer.error}", err=True)
            else:
                _show(answer, as_json)
    if not as_json:
        echo(f"{len(cases) - len(refused)} of {len(cases)} pictures published")
    if refused:
        # Trying again helps as long as one of them is not wrong in itself.
        raise SystemExit(BadInput.exit_code if all(isinstance(each, _BAD_INPUT) for each in refused) else 1)


def _show(case: PublishedCase, as_json: bool) -> None:
    if as_json:
        echo_json(
            {
                "case_id": str(case.case_id),
                "event_id": str(case.event_id),
                "lane": case.lane.value,
                "topic": case.topic,
                "partition": case.partition,
                "offset": case.offset,
                "duplicate": case.duplicate,
            }
        )
        return
    again = " (published before)" if case.duplicate else ""
    echo(f"case {case.case_id} is on {case.topic}[{case.partition}] at offset {case.offset}{again}")


def _pictures(folder: Path) -> list[Path]:
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    except OSError as error:
        raise BadInput(f"--dir: the folder cannot be read: {error.strerror}") from None
    if not found:
        raise BadInput("--dir: no .jpg, .jpeg, .png or .webp file in the folder")
    return found


def context_option(text: str) -> Mapping[str, object]:
    """The JSON object of `--context`, or of the file that it names. Raises BadInput, which shows nothing of it."""
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise BadInput("--context: the file cannot be read") from None
    try:
        value: Any = json.loads(text)
    except RecursionError:
        raise BadInput("--context: is nested too deeply") from None
    except ValueError as error:
        # Where it is wrong, not what stands there.
        where = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
        raise BadInput(f"--context: not JSON{where}") from None
    if not isinstance(value, dict):
        raise BadInput('--context: must be a JSON object such as {"age": 85}')
    return value


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise BadInput("--captured-at: not a time such as 2025-11-24T09:30:00-03:00") from None


def _failure(error: Exception) -> click.ClickException:
    return BadInput(str(error)) if isinstance(error, _BAD_INPUT) else click.ClickException(str(error))
