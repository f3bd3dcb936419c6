"""What each class must show (NPIAP 2016), measured in the pictures themselves."""

from __future__ import annotations

import csv
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from inference.decode import decode
from inference.findings import CLASSES
from inference.synthetic.colour import skin_tone
from inference.synthetic.dataset import write
from inference.synthetic.foreign import HELD_OUT, KNOWN, foreign_picture
from inference.synthetic.generator import Picture, picture

INTACT = ("none", "stage_1", "dtpi")
OPEN = ("stage_3", "stage_4", "unstageable")
SAMPLE = range(24)


@lru_cache(maxsize=100)
def made(stage: str, index: int, *, size: int = 128, **options: object) -> Picture:
    return picture(5, index, stage=stage, size=size, **options)  # type: ignore[arg-type]


def around(each: Picture) -> np.ndarray:
    """Healthy skin around the lesion that nothing lies on."""
    ring = (each.lesion < 0.02) & (each.covered < 0.5)
    return each.pixels[ring].mean(axis=0)


def visible(each: Picture) -> np.ndarray:
    return np.where(each.covered < 0.5, each.lesion, 0).astype(np.float32)


def mean_inside(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean RGB (3,) of the pixels where the mask exceeds one half."""
    return pixels[mask > 0.5].mean(axis=0, dtype=np.float64)


def tissue_share(each: Picture, *names: str) -> float:
    """Share (0–1) of the wound bed that the named tissues cover; 0 without a bed (an unbroken blister)."""
    bed = float(each.bed.sum())
    return sum(float(each.tissue[name].sum()) for name in names if name in each.tissue) / bed if bed > 0 else 0.0


def redness(rgb: np.ndarray) -> float:
    return float(rgb[0] / max(1.0, (rgb[1] + rgb[2]) / 2))


@pytest.mark.parametrize("distribution", ["ordinary", "shifted"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(distribution: str) -> None:
    first = picture(3, 8, distribution=distribution)  # type: ignore[arg-type]
    again = picture(3, 8, distribution=distribution)  # type: ignore[arg-type]
    assert first.jpeg() == again.jpeg()
    assert np.array_equal(first.lesion, again.lesion)
    assert picture(4, 8).jpeg() != picture(3, 8).jpeg()


def test_any_seven_in_a_row_hold_every_class() -> None:
    assert {picture(1, index, size=96).stage for index in range(10, 17)} == set(CLASSES)


@pytest.mark.parametrize("stage", INTACT)
def test_intact_classes_expose_no_wound_bed(stage: str) -> None:
    for index in SAMPLE:
        each = made(stage, index)
        assert each.bed.max() == 0, each.variant
        assert not each.tissue


def test_healthy_skin_has_no_lesion() -> None:
    assert all(made("none", index).lesion.max() == 0 for index in SAMPLE)


@pytest.mark.parametrize("stage", [name for name in CLASSES if name != "none"])
def test_every_injury_is_in_the_picture(stage: str) -> None:
    shares = [float(made(stage, index).lesion.mean()) for index in SAMPLE]
    assert min(shares) > 0.003
    assert 0.03 < np.median(shares) < 0.5


@pytest.mark.parametrize("monk", [1, 4, 7])
def test_stage_1_is_redder_than_the_skin_around_it(monk: int) -> None:
    gains = []
    for index in SAMPLE:
        each = made("stage_1", index, monk=monk)
        gains.append(redness(mean_inside(each.pixels, visible(each))) - redness(around(each)))
    assert np.median(gains) > 0.03
    assert np.mean(np.array(gains) > 0) > 0.8


def test_erythema_is_weaker_on_dark_skin() -> None:
    def contrast(monk: int) -> float:
        steps = []
        for index in SAMPLE:
            each = made("stage_1", index, monk=monk)
            steps.append(np.abs(mean_inside(each.pixels, visible(each)) - around(each)).max())
        return float(np.median(steps))

    assert contrast(9) < 0.6 * contrast(2)


@pytest.mark.parametrize("monk", [2, 5, 9])
def test_deep_tissue_injury_is_darker_than_its_skin_and_leans_to_purple(monk: int) -> None:
    darker, purple = [], []
    for index in SAMPLE:
        each = made("dtpi", index, monk=monk)
        inside, outside = mean_inside(each.pixels, visible(each)), around(each)
        darker.append(inside.mean() < outside.mean())
        # Green is lost before blue: that, against the skin, is purple.
        purple.append(inside[2] / max(1, inside[1]) > outside[2] / max(1, outside[1]))
    assert np.mean(darker) > 0.85
    assert np.mean(purple) > 0.85


def test_deep_tissue_injury_is_darker_than_stage_1_on_the_same_skin() -> None:
    def drop(stage: str) -> float:
        values = []
        for index in SAMPLE:
            each = made(stage, index, monk=4)
            values.append(mean_inside(each.pixels, visible(each)).mean() / around(each).mean())
        return float(np.median(values))

    assert drop("dtpi") < drop("stage_1") - 0.1


def test_stage_2_is_shallow_without_slough_or_a_blister() -> None:
    variants = set()
    for index in range(40):
        each = made("stage_2", index)
        variants.add(each.variant)
        assert tissue_share(each, "fat", "muscle", "bone", "tendon", "eschar") == 0
        assert tissue_share(each, "slough") < 0.22
        assert each.variant != "blister" or each.bed.max() == 0
    assert variants == {"open", "fibrin", "blister", "torn"}


def test_stage_3_shows_fat_or_granulation_no_bone_and_slough_on_less_than_half() -> None:
    for index in SAMPLE:
        each = made("stage_3", index, size=160)
        assert tissue_share(each, "fat", "granulation") > 0.3
        assert tissue_share(each, "bone", "tendon", "muscle") == 0
        assert tissue_share(each, "slough", "eschar") < 0.62


def test_stage_4_exposes_muscle_tendon_or_bone() -> None:
    for index in SAMPLE:
        assert tissue_share(made("stage_4", index, size=160), "muscle", "tendon", "bone") > 0.2


def test_unstageable_hides_most_of_its_bed() -> None:
    for index in SAMPLE:
        each = made("unstageable", index, size=160)
        assert tissue_share(each, "slough", "eschar") > 0.55
        assert tissue_share(each, "bone", "tendon", "muscle") == 0


def test_tissues_never_cover_more_than_the_bed() -> None:
    for stage in OPEN:
        each = made(stage, 3, size=160)
        assert sum(mask for mask in each.tissue.values()).max() <= 1.0 + 1e-4  # type: ignore[union-attr]


def test_skin_gets_darker_from_one_tone_to_the_next() -> None:
    tones = [skin_tone(monk, 0.0, 0.25).mean() for monk in range(1, 11)]
    assert all(a > b for a, b in pairwise(tones[2:]))
    assert tones[0] > 4 * tones[9]


def test_photographs_keep_the_order_of_the_tones() -> None:
    def brightness(monk: int) -> float:
        return float(np.median([made("none", index, monk=monk, size=96).pixels.mean() for index in SAMPLE]))

    light, medium, dark = brightness(2), brightness(6), brightness(10)
    assert light > medium > dark > 15


def test_the_shifted_distribution_differs_in_what_it_shows() -> None:
    ordinary = {tag for index in range(60) for tag in picture(6, index, size=96).nuisances}
    shifted = {tag for index in range(60) for tag in picture(6, index, size=96, distribution="shifted").nuisances}
    assert shifted - ordinary >= {"iodine", "sticker"}


@pytest.mark.parametrize("options", [{"stage": "stage_5"}, {"monk": 0}, {"monk": 11}])
def test_impossible_wishes_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="known class"):
        picture(1, 1, **options)  # type: ignore[arg-type]


def test_foreign_pictures_are_readable_and_the_held_out_kinds_are_others() -> None:
    known = {foreign_picture(2, index)[0] for index in range(len(KNOWN))}
    held = {foreign_picture(2, index, held_out=True)[0] for index in range(len(HELD_OUT))}
    assert not known & held
    assert len(known) == len(KNOWN)
    assert decode(foreign_picture(2, 1)[1]).pixels.shape == (256, 256, 3)
    assert foreign_picture(2, 5) == foreign_picture(2, 5)


def test_a_written_set_can_be_read_as_a_table_and_has_a_contact_sheet(tmp_path: Path) -> None:
    sheet = write(tmp_path, count=14, seed=3, size=96, masks=True)
    with (tmp_path / "metadata.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["stage"] for row in rows] == [*CLASSES, *CLASSES]
    assert all((tmp_path / row["image"]).is_file() for row in rows)
    assert len(list((tmp_path / "_masks").rglob("*.png"))) == 14
    assert decode(sheet.read_bytes()).width > 128
