"""From a trained Keras model to the files of a version: one network, two runtimes, and a check that they agree."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from inference import versions as registry
from inference.errors import InferenceError
from inference.findings import CLASSES
from inference.rejection import FeatureStatistics
from inference.runtimes import LiteRtRuntime
from inference.training.network import OUTPUTS, SIDE

#: Largest difference of a logit between LiteRT and TensorFlow. Both compute in float32; only the order of additions
#: differs.
TOLERANCE: Final = 2e-3


class ExportError(InferenceError):
    """The converted model does not compute what the trained one does."""


def export(
    model: Any,
    statistics: FeatureStatistics,
    settings: Mapping[str, Any],
    *,
    name: str,
    directory: Path,
    probe: NDArray[np.uint8],
) -> str:
    """Write `model` as a sealed version of `directory` and return the version.

    `settings`: what goes into `model.json` besides classes and outputs. `probe` (n, 128, 128, 3): pictures on which
    both runtimes must agree; raises `ExportError` when they do not.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model.save(folder / "model.keras")
        (folder / "model.tflite").write_bytes(convert(model))
        statistics.save(folder / "rejection.npz")
        text = json.dumps({"format": 1, "classes": list(CLASSES), "side": SIDE, **settings}, indent=2) + "\n"
        (folder / "model.json").write_text(text, encoding="utf-8")
        _compare(model, folder / "model.tflite", probe)
        return registry.seal(folder, name, directory)


def convert(model: Any) -> bytes:
    """Return the LiteRT flat buffer: float32, one picture a call (see `runtimes.LiteRtRuntime`), outputs by name."""
    signature = tf.TensorSpec((1, SIDE, SIDE, 3), tf.uint8, name="pixels")

    @tf.function(input_signature=[signature])  # type: ignore[untyped-decorator]
    def traced(pixels: Any) -> list[Any]:
        outputs = model(pixels, training=False)
        return [outputs[name] for name in OUTPUTS]

    # The weights are written into the graph here. Left to the converter (TensorFlow 2.21, Keras 3.15), whether
    # through a SavedModel or `from_concrete_functions([f], model)`, they are lost and the file returns NaN without a
    # word.
    frozen = convert_variables_to_constants_v2(traced.get_concrete_function())
    module = tf.Module()

    @tf.function(input_signature=[signature])  # type: ignore[untyped-decorator]
    def serve(pixels: Any) -> dict[str, Any]:
        return dict(zip(OUTPUTS, frozen(pixels), strict=True))

    module.serve = serve
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={"serving_default": serve.get_concrete_function()})
        return bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())


def _compare(model: Any, path: Path, probe: NDArray[np.uint8]) -> None:
    reference = model(probe, training=False)
    served = LiteRtRuntime(path, threads=1).run(probe)
    difference = float(np.abs(served.logits - np.asarray(reference["logits"])).max())
    if not difference <= TOLERANCE:  # also when NaN
        raise ExportError(f"LiteRT and TensorFlow differ by {difference} in a logit, at most {TOLERANCE} is accepted")
