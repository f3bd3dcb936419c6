"""The network: a small residual CNN whose class scores are the mean of a map of evidence.

Scores are the average over a 16×16 map with one channel a class, and that map is a linear reading of the features
below it. For such a head HiResCAM is exactly this map (Draelos and Carin, arXiv:2011.08891, section 3), so that an
explanation costs no gradient.
"""

from __future__ import annotations

from typing import Any, Final

import keras

from inference.findings import CLASSES

#: Side of the square the network sees, in pixels.
SIDE: Final = 128
#: Names of the outputs, in the order in which the serving signature returns them.
OUTPUTS: Final[tuple[str, ...]] = ("logits", "foreign", "features", "evidence")

_layers = keras.layers


def build(widths: tuple[int, int, int, int], *, feature_width: int = 96, dropout: float = 0.2) -> Any:
    """Return the Keras model: uint8 pixels (n, 128, 128, 3) in, a dict of `OUTPUTS` out.

    `logits` (n, 7) unscaled scores of `CLASSES`; `foreign` (n,) log-odds that this is no wound photograph;
    `features` (n, f) pooled, for distances; `evidence` (n, 16, 16, 7) each cell's share of the logits.
    """
    pixels = keras.Input((SIDE, SIDE, 3), dtype="uint8", name="pixels")
    x = _layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(pixels)
    x = _down(x, widths[0])
    x = _residual(_down(x, widths[1]), widths[1])
    middle = _residual(_down(x, widths[2]), widths[2])
    deep = _residual(_down(middle, widths[3]), widths[3])
    # What is seen at 8×8 (the whole wound) is judged together with what is seen at 16×16 (its tissues).
    x = _layers.Concatenate()([middle, _layers.UpSampling2D(2)(deep)])
    x = _activated(_layers.Conv2D(feature_width, 1, use_bias=False, name="features_conv")(x))
    features = _layers.GlobalAveragePooling2D(name="features")(x)
    evidence = _layers.Conv2D(len(CLASSES), 1, name="evidence")(_layers.SpatialDropout2D(dropout)(x))
    logits = _layers.GlobalAveragePooling2D(name="logits")(evidence)
    hidden = _layers.Dense(32, activation="relu", name="foreign_hidden")(features)
    foreign = _layers.Flatten(name="foreign_flat")(_layers.Dense(1, name="foreign")(hidden))
    outputs = {"logits": logits, "foreign": foreign, "features": features, "evidence": evidence}
    return keras.Model(pixels, outputs, name="vigia")


def _down(x: Any, width: int) -> Any:
    return _activated(_layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False)(x))


def _residual(x: Any, width: int) -> Any:
    y = _activated(_layers.Conv2D(width, 3, padding="same", use_bias=False)(x))
    y = _layers.BatchNormalization(momentum=0.95)(_layers.Conv2D(width, 3, padding="same", use_bias=False)(y))
    return _layers.ReLU()(_layers.Add()([x, y]))


def _activated(x: Any) -> Any:
    return _layers.ReLU()(_layers.BatchNormalization(momentum=0.95)(x))
