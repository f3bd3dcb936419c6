"""A hospital's own pictures are split by patient, and what is wrong with them is said in one line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from inference.findings import CLASSES
from inference.synthetic.corpus import Corpus
from inference.training.folder import PictureFolderError, find, read, split


def fill(folder: Path, per_class: int = 3) -> None:
    rng = np.random.default_rng(0)
    for stage in CLASSES:
        (folder / stage).mkdir(parents=True)
        for number in range(per_class):
            Image.fromarray(rng.integers(0, 255, (80, 80, 3), np.uint8)).save(folder / stage / f"{number}.jpg")


def corpus_of(groups: list[int], labels: list[int]) -> Corpus:
    n = len(groups)
    return Corpus(
        pixels=np.arange(n, dtype=np.uint8)[:, None, None, None],
        labels=np.array(labels, np.int64),
        groups=np.array(groups, np.int64),
        tones=np.zeros(n, np.int64),
        tags=tuple(() for _ in range(n)),
    )


def test_a_folder_a_class_is_read(tmp_path: Path) -> None:
    fill(tmp_path)
    corpus, problems = read(find(tmp_path), 64)
    assert len(corpus) == 21
    assert problems == []
    assert sorted(set(corpus.labels.tolist())) == list(range(7))
    assert len(set(corpus.groups.tolist())) == 21


def test_a_folder_below_the_class_is_a_patient(tmp_path: Path) -> None:
    fill(tmp_path)
    for stage in ("stage_1", "stage_2"):
        (tmp_path / stage / "p1").mkdir()
        (tmp_path / stage / "0.jpg").rename(tmp_path / stage / "p1" / "0.jpg")
    corpus, _ = read(find(tmp_path), 64)
    assert len(set(corpus.groups.tolist())) == 20


def test_a_picture_that_cannot_be_read_is_left_out_and_named_by_number_not_by_name(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "dtpi" / "CD-2025-001.jpg").write_bytes(b"no picture")
    corpus, problems = read(find(tmp_path), 64)
    assert len(corpus) == 21
    assert len(problems) == 1
    assert "not_an_image" in problems[0]
    assert "CD-2025" not in problems[0]


def table(tmp_path: Path, rows: list[dict[str, str]]) -> Path:
    path = tmp_path / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_table_names_patients_and_tones(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    rows = [{"image": f"{stage}/0.jpg", "stage": stage, "patient": "A", "monk": "7"} for stage in CLASSES]
    entries = find(table(tmp_path, rows))
    assert {entry.patient for entry in entries} == {"A"}
    assert {entry.monk for entry in entries} == {7}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stage": "stage_9"}, "line 2: 'stage_9' is no class"),
        ({"image": "gone.jpg"}, "line 2: there is no such picture"),
        ({"patient": " "}, "line 2: no patient"),
        ({"monk": "11"}, "line 2: monk"),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, change: dict[str, str], message: str) -> None:
    fill(tmp_path, 1)
    row = {"image": "none/0.jpg", "stage": "none", "patient": "CD-2025-001", "monk": ""} | change
    with pytest.raises(PictureFolderError, match=message) as caught:
        find(table(tmp_path, [row]))
    assert "CD-2025" not in str(caught.value)


def test_missing_columns_classes_and_folders_are_said(tmp_path: Path) -> None:
    with pytest.raises(PictureFolderError, match="no column 'stage'"):
        find(table(tmp_path, [{"image": "x", "patient": "y"}]))
    fill(tmp_path / "a", 1)
    (tmp_path / "a" / "none" / "0.jpg").unlink()
    with pytest.raises(PictureFolderError, match="no picture of class none"):
        find(tmp_path / "a")
    (tmp_path / "b" / "blisters").mkdir(parents=True)
    with pytest.raises(PictureFolderError, match="'blisters' is no class"):
        find(tmp_path / "b")
    with pytest.raises(PictureFolderError, match="neither"):
        find(tmp_path / "nowhere")


@given(st.lists(st.integers(0, 40), min_size=21, max_size=120), st.integers(0, 5))
def test_no_patient_is_in_two_parts_and_no_picture_is_lost(extra: list[int], seed: int) -> None:
    # Three patients a class at least, then any pictures of any of 41 patients.
    groups = [*range(21), *extra]
    labels = [*(group % 7 for group in range(21)), *((group * 3) % 7 for group in extra)]
    worst: dict[int, int] = {}
    for group, label in zip(groups, labels, strict=True):
        worst[group] = max(worst.get(group, 0), label)
    if any(sum(w == k for w in worst.values()) in (1, 2) for k in range(7)):
        return
    parts = split(corpus_of(groups, labels), (0.2, 0.2), seed)
    seen = [set(part.groups.tolist()) for part in parts]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]
    assert sum(len(part) for part in parts) == len(groups)
    assert all(len(part) for part in parts)


def test_too_few_patients_are_refused_rather_than_split_by_picture() -> None:
    with pytest.raises(PictureFolderError, match="at least 3"):
        split(corpus_of([0] * 30, [1] * 30), (0.2, 0.2), 0)
