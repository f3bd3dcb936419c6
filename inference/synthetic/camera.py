"""Light and camera: from the painted scene to the pixels of a phone's picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.synthetic.canvas import Canvas
from inference.synthetic.colour import Rgb, encode, luminance
from inference.synthetic.fields import coordinates, noise, soften, step


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraRange:
    """How widely light and camera vary in a distribution.

    `cast`: deviation of the log gain of red and blue. `green`: that of green (fluorescent tubes). `exposure`:
    deviation of the log brightness. `shadow`: chance of a cast shadow. `blur`: scale of the defocus, in 1/1000 of
    the width; `motion`: chance of camera shake. `grain`: scale of the sensor's noise. `quality`: JPEG range.
    `coarse`: chance of a low-resolution sensor. `tone`: deviation of contrast and saturation. `sharpen`: chance of a
    phone's over-sharpening.
    """

    cast: float
    green: float
    exposure: float
    shadow: float
    blur: float
    motion: float
    grain: float
    quality: tuple[int, int]
    coarse: float
    tone: float
    sharpen: float


ORDINARY = CameraRange(
    cast=0.07, green=0.02, exposure=0.16, shadow=0.22, blur=2.2, motion=0.06, grain=0.008, quality=(70, 96),
    coarse=0.06, tone=0.10, sharpen=0.15,
)  # fmt: skip
SHIFTED = CameraRange(
    cast=0.15, green=0.055, exposure=0.30, shadow=0.40, blur=4.2, motion=0.22, grain=0.022, quality=(35, 88),
    coarse=0.30, tone=0.20, sharpen=0.45,
)  # fmt: skip


def photograph(
    rng: np.random.Generator, canvas: Canvas, camera: CameraRange
) -> tuple[NDArray[np.uint8], dict[str, float]]:
    """Return the picture (s, s, 3) RGB and what was done to it: `exposure`, `blur_px`, `grain`, `shadow`, `jpeg`."""
    image, facts = _illuminate(rng, canvas, camera)
    image, sharp = _lens(rng, image, camera)
    facts |= sharp
    display, sensor = _sensor(rng, image, camera)
    return display, facts | sensor


def _illuminate(rng: np.random.Generator, canvas: Canvas, camera: CameraRange) -> tuple[Rgb, dict[str, float]]:
    size = canvas.size
    height = canvas.height
    scale = size / 16  # Sobel sums eight differences over two pixels of 2/size each
    slope_x = np.asarray(cv2.Sobel(height, cv2.CV_32F, 1, 0), np.float32) * np.float32(scale)
    slope_y = np.asarray(cv2.Sobel(height, cv2.CV_32F, 0, 1), np.float32) * np.float32(scale)
    length = np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
    azimuth, elevation = float(rng.uniform(0, 2 * math.pi)), math.radians(float(rng.uniform(35, 75)))
    light = (math.cos(azimuth) * math.cos(elevation), math.sin(azimuth) * math.cos(elevation), math.sin(elevation))
    facing = np.maximum(0, (light[2] - slope_x * light[0] - slope_y * light[1]) / length)
    ambient = float(rng.uniform(0.35, 0.7))
    shade = np.asarray(ambient + (1 - ambient) * facing / light[2], np.float32)
    # Hollows see less of the sky.
    hollow = np.maximum(soften(height, size * 0.04) - height, 0)
    shade *= np.exp(-4.5 * hollow)
    facts = {"shadow": 0.0}
    if rng.random() < camera.shadow:
        x, y = coordinates(size)
        angle = float(rng.uniform(0, 2 * math.pi))
        edge = x * math.cos(angle) + y * math.sin(angle) - np.float32(rng.uniform(-0.4, 0.7))
        edge = edge + 0.15 * noise(rng, (size, size), size * 0.5)
        width = float(rng.uniform(0.05, 0.4))
        strength = float(rng.uniform(0.2, 0.6))
        shade *= 1 - np.float32(strength) * step(-width, width, np.asarray(edge, np.float32))
        facts["shadow"] = strength
    x, y = coordinates(size)
    lean = rng.normal(0, 0.14, 2)
    shade *= np.asarray(1 + lean[0] * x + lean[1] * y - float(rng.uniform(0, 0.22)) * (x * x + y * y), np.float32)
    # Blinn highlight; the viewer looks straight down.
    half = np.array([light[0], light[1], light[2] + 1])
    half /= np.linalg.norm(half)
    align = np.maximum(0, (half[2] - slope_x * half[0] - slope_y * half[1]) / length)
    highlight = np.asarray(cv2.pow(align, float(rng.uniform(25, 90))), np.float32)
    shine = canvas.gloss * highlight * np.float32(rng.uniform(0.14, 0.5))
    image = canvas.albedo * np.maximum(shade, 0.02)[..., None] + shine[..., None]
    return np.asarray(image, np.float32), facts


def _lens(rng: np.random.Generator, image: Rgb, camera: CameraRange) -> tuple[Rgb, dict[str, float]]:
    size = image.shape[0]
    sigma = float(rng.gamma(1.2, camera.blur)) / 1000 * size
    image = soften(image, min(sigma, 0.025 * size))
    if rng.random() < camera.motion:
        reach = max(3, int(size * rng.uniform(0.008, 0.035)))
        kernel = np.zeros((reach, reach), np.float32)
        angle = float(rng.uniform(0, math.pi))
        middle = (reach - 1) / 2
        dx, dy = math.cos(angle) * middle, math.sin(angle) * middle
        ends = [(int(8 * (middle + s * dx)), int(8 * (middle + s * dy))) for s in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA, 3)
        image = np.asarray(cv2.filter2D(image, -1, kernel / max(float(kernel.sum()), 1e-6)), np.float32)
        sigma += reach / 3
    return image, {"blur_px": sigma}


def _sensor(rng: np.random.Generator, image: Rgb, camera: CameraRange) -> tuple[NDArray[np.uint8], dict[str, float]]:
    size = image.shape[0]
    red_blue = rng.normal(0, camera.cast, 2)
    gains = np.exp(np.array([red_blue[0], rng.normal(0, camera.green), red_blue[1]])).astype(np.float32)
    # Auto exposure holds the mean of a picture near mid grey, half-heartedly: dark skin still looks dark.
    mean = float(luminance(image).mean())
    auto = min(2.6, (0.24 / max(mean, 0.02)) ** float(rng.uniform(0.30, 0.70)))
    exposure = float(np.exp(rng.normal(0, camera.exposure)))
    image = image * gains * np.float32(auto * exposure)
    grey = luminance(image)[..., None]
    image = np.maximum(0, grey + (image - grey) * np.float32(np.exp(rng.normal(0, camera.tone))))
    grain = float(rng.gamma(1.5, camera.grain))
    small = 1.0
    if rng.random() < camera.coarse:
        small = float(rng.uniform(0.4, 0.75))
        side = int(size * small)
        image = np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.float32)
    shot = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(grain)
    image = image + shot * np.sqrt(np.maximum(image, 0.01))
    if image.shape[0] != size:
        image = np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)
    display = encode(image) / 255
    contrast = float(rng.normal(0.12, camera.tone))
    # A phone's tone curve: an S around the middle.
    display = display + np.float32(contrast) * display * (1 - display) * (2 * display - 1) * 2
    if rng.random() < camera.sharpen:
        display = display + np.float32(rng.uniform(0.3, 1.0)) * (display - soften(np.asarray(display, np.float32), 1.0))
    pixels = np.clip(display * 255 + 0.5, 0, 255).astype(np.uint8)
    facts = {"exposure": exposure, "grain": grain, "coarse": small, "jpeg": float(rng.integers(*camera.quality))}
    return pixels, facts


def encode_jpeg(pixels: NDArray[np.uint8], quality: int) -> bytes:
    """Return the JPEG file of an RGB picture, without any metadata."""
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise ValueError("the picture cannot be written as JPEG")
    return bytes(data)
