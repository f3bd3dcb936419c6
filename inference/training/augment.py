"""Variations of a training picture that change no label, on whole batches in TensorFlow.

They stand for other hands, cameras and lights in general; none imitates the shifted distribution that the model is
evaluated on.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf


def augment(pixels: Any, seed: Any, side: int) -> Any:
    """Return varied uint8 pixels (n, side, side, 3) of uint8 `pixels` (n, s, s, 3), s ≥ side. `seed` (2,) int
    decides all of it."""
    batch = tf.shape(pixels)[0]
    draw = _Draw(seed, batch)
    image = _warp(tf.cast(pixels, tf.float32), draw, side)
    image = _soften(image, draw, side) / 255.0
    gain = draw.normal((1, 1, 3), 0.10) + draw.normal((1, 1, 1), 0.20)
    image = image * tf.exp(gain)
    grey = tf.reduce_mean(image, axis=-1, keepdims=True)
    image = grey + (image - grey) * tf.exp(draw.normal((1, 1, 1), 0.18))
    middle = tf.reduce_mean(grey, axis=(1, 2), keepdims=True)
    image = middle + (image - middle) * tf.exp(draw.normal((1, 1, 1), 0.15))
    image = tf.pow(tf.clip_by_value(image, 1e-3, 1.0), tf.exp(draw.normal((1, 1, 1), 0.12)))
    image = _occlude(image, draw, side)
    noise = tf.random.stateless_normal(tf.shape(image), seed=draw.next())
    image = image + noise * tf.abs(draw.normal((1, 1, 1), 0.025))
    return tf.cast(tf.clip_by_value(image * 255.0 + 0.5, 0.0, 255.0), tf.uint8)


class _Draw:
    """Random numbers for a batch, each from its own stateless seed."""

    def __init__(self, seed: Any, batch: Any) -> None:
        self._seed = seed
        self._batch = batch
        self._count = 0

    def next(self) -> Any:
        self._count += 1
        return tf.random.experimental.stateless_fold_in(self._seed, self._count)

    def normal(self, shape: tuple[int, ...], deviation: float) -> Any:
        return tf.random.stateless_normal((self._batch, *shape), seed=self.next()) * deviation

    def uniform(self, shape: tuple[int, ...], low: float, high: float) -> Any:
        return tf.random.stateless_uniform((self._batch, *shape), seed=self.next(), minval=low, maxval=high)


def _warp(image: Any, draw: _Draw, side: int) -> Any:
    """Turn, mirror, zoom, stretch and shift; what comes in from outside is mirrored skin."""
    source = tf.cast(tf.shape(image)[1], tf.float32)
    angle = draw.uniform((), 0.0, 2 * math.pi)
    zoom = tf.exp(draw.uniform((), -0.30, 0.30)) * source / side
    stretch = tf.exp(draw.normal((), 0.08))
    mirror = tf.sign(draw.uniform((), -1.0, 1.0))
    shift = draw.normal((2,), 0.07) * source
    cos, sin = tf.cos(angle) * zoom, tf.sin(angle) * zoom
    a, b = cos * stretch * mirror, -sin / stretch
    c, d = sin * stretch * mirror, cos / stretch
    half = side / 2
    tx = source / 2 - (a + b) * half + shift[:, 0]
    ty = source / 2 - (c + d) * half + shift[:, 1]
    zero = tf.zeros_like(a)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image,
        transforms=tf.stack([a, b, tx, c, d, ty, zero, zero], axis=1),
        output_shape=tf.constant([side, side], tf.int32),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )


def _soften(image: Any, draw: _Draw, side: int) -> Any:
    """Some pictures lose their detail, as by defocus or a cheap sensor."""
    half = tf.image.resize(tf.nn.avg_pool2d(image, 2, 2, "SAME"), (side, side))
    third = tf.image.resize(tf.nn.avg_pool2d(image, 4, 4, "SAME"), (side, side))
    choice = draw.uniform((1, 1, 1), 0.0, 1.0)
    share = draw.uniform((1, 1, 1), 0.4, 1.0)
    image = tf.where(choice < 0.30, image + share * (half - image), image)
    return tf.where(choice < 0.10, image + share * (third - image), image)


def _occlude(image: Any, draw: _Draw, side: int) -> Any:
    """In a third of the pictures something flat and meaningless lies near the border."""
    axis = tf.linspace(-1.0, 1.0, side)
    angle, far = draw.uniform((1, 1), 0.0, 2 * math.pi), draw.uniform((1, 1), 0.7, 1.1)
    turn, half = draw.uniform((1, 1), 0.0, math.pi), draw.uniform((2, 1, 1), 0.06, 0.40)
    x, y = axis[None, None, :] - far * tf.cos(angle), axis[None, :, None] - far * tf.sin(angle)
    along, across = x * tf.cos(turn) + y * tf.sin(turn), y * tf.cos(turn) - x * tf.sin(turn)
    inside = (tf.abs(along) < half[:, 0]) & (tf.abs(across) < half[:, 1]) & (draw.uniform((1, 1), 0.0, 1.0) < 0.33)
    return tf.where(inside[..., None], draw.uniform((1, 1, 3), 0.0, 1.0), image)
