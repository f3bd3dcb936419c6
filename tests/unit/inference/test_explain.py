"""The heat map is what it claims to be, and lies where the lesion is."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from inference import versions as registry
from inference.decode import decode, to_square
from inference.explain import HeatMap, overlay, region
from inference.findings import EvidenceRegion, Finding
from inference.predictor import Predictor
from inference.synthetic.generator import picture


def heat(*cells: tuple[int, int, float]) -> HeatMap:
    values = np.full((16, 16), -1.0, np.float32)
    for row, column, value in cells:
        values[row, column] = value
    return HeatMap(values=values)


def test_the_region_is_the_box_of_the_strongest_connected_cells() -> None:
    found = region(heat((4, 8, 5.0), (5, 8, 4.0), (5, 9, 3.0), (14, 0, 4.5), (0, 15, 0.5)))
    assert found == EvidenceRegion(x=8 / 16, y=4 / 16, w=2 / 16, h=2 / 16)


def test_nothing_that_speaks_for_the_class_gives_no_region() -> None:
    assert region(heat()) is None
    assert heat().normalised().max() == 0


def test_the_map_of_a_class_is_its_hirescam() -> None:
    """HiResCAM: gradient of the class's score by the last features, times the features, summed over channels."""
    keras = pytest.importorskip("keras")
    import tensorflow as tf

    model = keras.models.load_model(registry.load().path / "model.keras", compile=False)
    evidence = model.get_layer("evidence")
    features = keras.Model(model.input, evidence.input)
    pixels = to_square(decode(picture(31, 4).jpeg()).pixels, 128)[None]
    maps = features(pixels, training=False)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        scores = tf.reduce_mean(evidence(maps), axis=(1, 2))
        top = int(tf.argmax(scores[0]))
        score = scores[0, top]
    hirescam = tf.reduce_sum(tape.gradient(score, maps) * maps, axis=-1)[0].numpy() * 16 * 16
    ours = model(pixels, training=False)["evidence"][0, :, :, top].numpy()
    # They differ by the class's bias alone, which belongs to no place.
    assert np.allclose(ours - evidence.bias.numpy()[top], hirescam, atol=1e-3)


def test_the_strongest_evidence_lies_in_the_lesion_mostly(predictor: Predictor) -> None:
    hits = []
    for index in range(28):
        made = picture(41, index)
        result = predictor.predict([made.jpeg()])[0]
        if isinstance(result, Finding) and result.stage == made.stage != "none" and result.heat is not None:
            inside = cv2.resize(made.lesion, (16, 16), interpolation=cv2.INTER_AREA)
            hits.append(inside[np.unravel_index(int(result.heat.values.argmax()), (16, 16))] > 0.1)
    assert len(hits) > 10
    assert np.mean(hits) > 0.7


def test_an_overlay_is_a_plain_jpeg_of_the_upright_picture(wounds: list[bytes]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.open(io.BytesIO(wounds[4])).resize((400, 200)).save(stream, "JPEG", exif=exif)
    drawn = overlay(decode(stream.getvalue()), heat((8, 8, 2.0)), size=300)
    with Image.open(io.BytesIO(drawn)) as image:
        assert image.format == "JPEG"
        assert image.size == (150, 300)
        assert not image.getexif()


def test_an_overlay_changes_the_picture_where_the_evidence_is_and_nowhere_else() -> None:
    grey = cv2.imencode(".png", np.full((256, 256, 3), 120, np.uint8))[1].tobytes()
    pixels = decode(overlay(decode(grey), heat((2, 2, 3.0)), size=256)).pixels.astype(int)
    assert np.abs(pixels[200:, 200:] - 120).max() < 8
    assert np.abs(pixels[40, 40] - 120).max() > 40
