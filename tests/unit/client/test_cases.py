"""The same picture, patient and time are the same case; what cannot be a case is refused with the field's name."""

from __future__ import annotations

import dataclasses
import io
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from schemas.events import AnatomicalLocation, Lane
from streams.client.cases import CaseBuilder, NewCase, capture_time, lane_of
from streams.client.errors import InvalidCaseError
from streams.client.tokens import PatientCodeError, Tokeniser, TokenKeyMissingError
from streams.images.errors import ImageTooLargeError, UnsupportedImageError
from streams.images.store import MAX_IMAGE_BYTES, ImageStore
from streams.settings import Settings

KEY = bytes(range(32))
NOW = datetime(2025, 11, 24, 12, 0, tzinfo=UTC)
TAKEN = datetime.now(UTC).replace(second=15, microsecond=0) - timedelta(hours=3)


def picture(shade: int = 90, **taken: str) -> bytes:
    tags = Image.Exif()
    tags._ifds[ExifTags.IFD.Exif] = {getattr(ExifTags.Base, name): value for name, value in taken.items()}
    buffer = io.BytesIO()
    Image.new("RGB", (32, 24), (shade, 60, 50)).save(buffer, "JPEG", exif=tags.tobytes() if taken else b"")
    return buffer.getvalue()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        bootstrap_servers="nowhere:1",
        schema_registry_url="http://nowhere",
        image_store=f"file://{tmp_path}/images",
        image_roots=(f"file://{tmp_path}/images",),
        token_key=KEY,
    )


@pytest.fixture
def builder(settings: Settings) -> CaseBuilder:
    return CaseBuilder(settings, name="tests")


def case(**changed: object) -> NewCase:
    values: dict[str, object] = {"image": picture(), "patient_code": "CD-2025-001", "captured_at": TAKEN}
    return NewCase(**(values | changed))  # type: ignore[arg-type]


def test_the_predecessors_own_example_works_as_written(builder: CaseBuilder, tmp_path: Path) -> None:
    file = tmp_path / "lesion.jpg"
    file.write_bytes(picture())
    event = builder.build(
        NewCase(
            image=file,
            patient_code="EMERGENCY-2025-001",
            context={"age": 85, "diabetes": True, "risk_score": 18},
            processing_options={"analysis_type": "emergency"},
        )
    )
    assert event.lane is Lane.EMERGENCY
    assert (event.context.age, event.context.diabetes, event.context.risk_score) == (85, True, 18)
    assert event.patient_token == Tokeniser(KEY).token("EMERGENCY-2025-001")
    assert event.producer == "tests"


def test_neither_code_nor_file_name_is_in_the_event(builder: CaseBuilder, tmp_path: Path) -> None:
    file = tmp_path / "Rosa Munoz room 12.jpg"
    file.write_bytes(picture())
    text = repr(builder.build(case(image=file)))
    assert "CD-2025-001" not in text
    assert "Rosa" not in text


def test_the_text_of_a_new_case_tells_nothing_of_the_patient() -> None:
    text = repr(case(image=Path("Rosa.jpg"), context={"age": 85}))
    assert "CD-2025-001" not in text
    assert "Rosa" not in text
    assert "85" not in text


def test_the_picture_is_in_the_store(builder: CaseBuilder, settings: Settings) -> None:
    event = builder.build(case())
    assert ImageStore.from_settings(settings).fetch(event.image)


def test_the_same_picture_patient_and_time_are_the_same_case(builder: CaseBuilder) -> None:
    one = builder.build(case())
    again = builder.build(case(captured_at=TAKEN.astimezone(datetime.now().astimezone().tzinfo)))
    assert (one.case_id, one.event_id) == (again.case_id, again.event_id)
    corrected = builder.build(case(context={"age": 70}))
    assert corrected.case_id == one.case_id
    assert corrected.event_id != one.event_id, "the stages would leave it out as a repetition"
    assert builder.build(case(context={"age": 70, "mobility": None})).event_id == corrected.event_id


@pytest.mark.parametrize(
    "changed",
    [
        {"image": picture(150)},
        {"patient_code": "CD-2025-002"},
        {"patient_code": None},
        {"captured_at": TAKEN + timedelta(microseconds=1)},
    ],
)
def test_another_picture_patient_or_time_is_another_case(builder: CaseBuilder, changed: dict[str, object]) -> None:
    assert builder.build(case()).case_id != builder.build(case(**changed)).case_id


def test_an_emergency_of_a_case_seen_as_routine_is_the_same_case_and_another_event(builder: CaseBuilder) -> None:
    routine, emergency = builder.build(case()), builder.build(case(analysis_type="emergency"))
    assert routine.case_id == emergency.case_id
    assert routine.event_id != emergency.event_id


def test_a_patient_not_identified_has_no_token(builder: CaseBuilder) -> None:
    assert builder.build(case(patient_code=None)).patient_token is None


def test_spanish_names_of_places_are_understood(builder: CaseBuilder) -> None:
    context = builder.build(case(context={"anatomical_location": "talón"})).context
    assert context.anatomical_location is AnatomicalLocation.HEEL


@pytest.mark.parametrize(
    ("changed", "error", "named"),
    [
        ({"context": {"age": 400}}, InvalidCaseError, "context.age"),
        ({"context": {"edad": 85}}, InvalidCaseError, "context has a field"),
        ({"context": {"risk_score": 5}}, InvalidCaseError, "context.risk_score"),
        ({"patient_code": "CD-2025-001\n"}, PatientCodeError, "patient code"),
        ({"analysis_type": "urgent"}, InvalidCaseError, "analysis_type"),
        ({"processing_options": {"analysis": "emergency"}}, InvalidCaseError, "processing_options"),
        ({"captured_at": datetime(2025, 11, 24, 9, 30)}, InvalidCaseError, "captured_at"),
        ({"captured_at": datetime.now(UTC) + timedelta(hours=3)}, InvalidCaseError, "captured_at"),
        ({"image": Path("/nowhere/Rosa.jpg")}, InvalidCaseError, "image"),
        ({"image": b"no picture"}, UnsupportedImageError, "unsupported_image"),
        ({"image": bytes(MAX_IMAGE_BYTES + 1)}, ImageTooLargeError, "too_large"),
    ],
)
def test_what_cannot_be_a_case_is_named_and_stores_nothing(
    builder: CaseBuilder, tmp_path: Path, changed: dict[str, object], error: type[Exception], named: str
) -> None:
    with pytest.raises(error) as caught:
        builder.build(case(**changed))
    text = str(caught.value)
    assert named in text
    assert not any(secret in text for secret in ("400", "CD-2025", "Rosa"))
    assert not (tmp_path / "images").exists()


def test_a_file_that_is_no_picture_may_be_published_for_a_human(builder: CaseBuilder) -> None:
    event = builder.build(case(image=b"no picture", accept_unreadable=True))
    assert event.image.media_type == "application/octet-stream"


def test_without_a_token_key_nothing_is_published(settings: Settings) -> None:
    with pytest.raises(TokenKeyMissingError):
        CaseBuilder(dataclasses.replace(settings, token_key=None), name="tests")


@pytest.mark.parametrize(
    ("argument", "option", "lane"),
    [
        (None, None, Lane.ROUTINE),
        ("routine", None, Lane.ROUTINE),
        ("emergency", None, Lane.EMERGENCY),
        (None, "emergency", Lane.EMERGENCY),
        ("emergency", "emergency", Lane.EMERGENCY),
        (Lane.EMERGENCY, None, Lane.EMERGENCY),
    ],
)
def test_the_lane_is_what_the_caller_asks_for(argument: str | None, option: str | None, lane: Lane) -> None:
    options = {} if option is None else {"analysis_type": option}
    assert lane_of(case(analysis_type=argument, processing_options=options)) is lane


@given(text=st.text(max_size=20).filter(lambda text: text not in ("emergency", "routine")))
def test_no_other_word_chooses_a_lane(text: str) -> None:
    with pytest.raises(InvalidCaseError):
        lane_of(case(analysis_type=text))


def test_an_argument_and_an_option_that_differ_are_refused() -> None:
    with pytest.raises(InvalidCaseError, match="differ"):
        lane_of(case(analysis_type="routine", processing_options={"analysis_type": "emergency"}))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "picture.jpg"
    path.write_bytes(picture())
    os.utime(path, ns=(0, int((NOW - timedelta(hours=2)).timestamp()) * 10**9 + 123_456_789))
    return path


def test_a_given_time_comes_first_then_the_cameras_then_the_files(file: Path) -> None:
    written = picture(DateTimeOriginal="2025:11:24 06:00:00", OffsetTimeOriginal="-03:00")
    given = NOW - timedelta(hours=3)
    assert capture_time(case(image=file, captured_at=given), written, NOW) == given
    assert capture_time(case(image=file, captured_at=None), written, NOW) == datetime(2025, 11, 24, 9, tzinfo=UTC)
    changed = NOW - timedelta(hours=2) + timedelta(microseconds=123_456)
    assert capture_time(case(image=file, captured_at=None), picture(), NOW) == changed


@pytest.mark.parametrize("written", ["1980:01:01 00:00:00", "2031:01:01 00:00:00"])
def test_a_camera_whose_clock_is_wrong_is_not_believed(file: Path, written: str) -> None:
    data = picture(DateTimeOriginal=written, OffsetTimeOriginal="+00:00")
    assert capture_time(case(image=file, captured_at=None), data, NOW).year == 2025


def test_bytes_without_any_time_are_refused_since_each_attempt_would_be_a_new_case() -> None:
    with pytest.raises(InvalidCaseError, match="captured_at"):
        capture_time(case(captured_at=None), picture(), NOW)


@pytest.mark.parametrize("written", [None, "2025:07:01 06:00:00"])
def test_a_time_from_which_nothing_would_be_kept_any_more_is_refused(written: str | None) -> None:
    data = picture() if written is None else picture(DateTimeOriginal=written, OffsetTimeOriginal="+00:00")
    with pytest.raises(InvalidCaseError, match="captured_at: lies more than 90 days back"):
        capture_time(case(captured_at=datetime(2020, 1, 1, tzinfo=UTC) if written is None else None), data, NOW)
