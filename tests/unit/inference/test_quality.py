"""What no model should guess at is recognised by plain measurements."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from inference.decode import Decoded
from inference.findings import AbstainReason
from inference.quality import QualityLimits, measure, objection
from inference.synthetic.generator import picture

LIMITS = QualityLimits()


def seen(pixels: np.ndarray) -> AbstainReason | None:
    return objection(measure(Decoded(pixels=pixels, width=pixels.shape[1], height=pixels.shape[0])), LIMITS)


def test_a_black_picture_is_too_dark() -> None:
    assert seen(np.zeros((256, 256, 3), np.uint8)) is AbstainReason.TOO_DARK


def test_a_white_picture_is_too_bright() -> None:
    assert seen(np.full((256, 256, 3), 255, np.uint8)) is AbstainReason.TOO_BRIGHT


def test_one_flat_grey_shows_nothing() -> None:
    assert seen(np.full((256, 256, 3), 128, np.uint8)) is AbstainReason.BLURRED


def test_a_panorama_has_an_odd_shape() -> None:
    assert seen(np.random.default_rng(0).integers(0, 255, (100, 400, 3)).astype(np.uint8)) is AbstainReason.ODD_SHAPE


@pytest.mark.parametrize("index", range(14))
def test_generated_pictures_are_good_enough_and_their_ruined_copies_are_not(index: int) -> None:
    pixels = picture(11, index).pixels
    assert seen(pixels) is None
    assert seen((pixels * 0.08).astype(np.uint8)) is AbstainReason.TOO_DARK
    assert seen(cv2.GaussianBlur(pixels, (0, 0), 24)) is AbstainReason.BLURRED


def test_limits_survive_the_settings_file() -> None:
    assert QualityLimits.from_mapping(QualityLimits(dark=7).as_mapping()) == QualityLimits(dark=7)
    with pytest.raises(TypeError):
        QualityLimits.from_mapping({"darkness": 1})
