"""The two ways to run a network: LiteRT, which serves, and TensorFlow, which is the reference.

Both take fixed shapes only, so that nothing is traced, planned or allocated while cases wait, and memory stays what it
was after warming up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from inference.findings import ModelError
from inference.rejection import Floats

_NAMES: Final = ("logits", "foreign", "features", "evidence")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Raw outputs for n pictures: `logits` (n, 7), `foreign` (n,), `features` (n, f), `evidence` (n, rows, columns,
    7)."""

    logits: Floats
    foreign: Floats
    features: Floats
    evidence: Floats


class NetworkRuntime(Protocol):
    """Runs a network on uint8 pixels (n, side, side, 3)."""

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Return the outputs for every picture. Raises `ModelError`."""
        ...


def sizes(batch_size: int) -> tuple[int, ...]:
    """Return the piece sizes prepared for `batch_size`: the whole batch, an eighth-ish step, and one."""
    return tuple(sorted({batch_size, min(8, batch_size), 1}, reverse=True))


def pieces(count: int, prepared: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """Cut `count` pictures into (start, filled, size): `filled` ≤ `size`, one of `prepared` (descending).

    The rest of a batch goes into the smallest piece that holds it when that piece is at least half full, else into
    smaller ones.
    """
    at = 0
    while at < count:
        left = count - at
        size = next((s for s in prepared if s <= left or s < 2 * left), prepared[-1])
        yield at, min(size, left), size
        at += min(size, left)


class LiteRtRuntime:
    """LiteRT (TensorFlow Lite) on the CPU: starts in 0.1 s and needs a tenth of TensorFlow's memory.

    One picture per call: on a CPU a larger batch brings it nothing (see docs/model.md), and no piece is ever padded.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
            self._source = int(self._interpreter.get_input_details()[0]["index"])
            self._names = _outputs_by_name(self._interpreter, path)
        except (ValueError, RuntimeError, OSError) as error:
            raise ModelError(f"LiteRT cannot load {path.name} ({type(error).__name__})") from error

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Return the outputs for every picture of `pixels` (n, side, side, 3) uint8."""
        parts: list[dict[str, Floats]] = []
        try:
            for row in range(len(pixels)):
                self._interpreter.set_tensor(self._source, pixels[row : row + 1])
                self._interpreter.invoke()
                parts.append({name: self._interpreter.get_tensor(index) for name, index in self._names.items()})
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"LiteRT failed ({type(error).__name__})") from error
        return _joined(parts)


class TensorFlowRuntime:
    """The Keras model under `tf.function`: the reference that LiteRT is compared with."""

    def __init__(self, path: Path, *, threads: int, batch_size: int) -> None:
        import keras
        import tensorflow as tf

        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:
            pass  # TensorFlow already runs in this process, with the threads it was given first
        self._prepared = sizes(batch_size)
        try:
            model = keras.models.load_model(path, compile=False, safe_mode=True)
        except (ValueError, OSError, TypeError, KeyError) as error:
            raise ModelError(f"Keras cannot load {path.name} ({type(error).__name__})") from error
        function = tf.function(lambda x: model(x, training=False))
        shape = tuple(model.input_shape[1:])
        self._functions = {
            size: function.get_concrete_function(tf.TensorSpec((size, *shape), tf.uint8)) for size in self._prepared
        }
        self._constant = tf.constant

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Return the outputs for every picture of `pixels` (n, side, side, 3) uint8."""
        parts: list[dict[str, Floats]] = []
        for start, filled, size in pieces(len(pixels), self._prepared):
            result = self._functions[size](self._constant(_padded(pixels[start : start + filled], size)))
            parts.append({name: np.asarray(result[name])[:filled] for name in _NAMES})
        return _joined(parts)


def _padded(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if len(pixels) == size:
        return pixels
    filler = np.zeros((size - len(pixels), *pixels.shape[1:]), np.uint8)
    return np.concatenate([pixels, filler])


def _joined(parts: list[dict[str, Floats]]) -> Outputs:
    if not parts:
        raise ValueError("no pictures to run")
    whole = {name: np.concatenate([part[name] for part in parts]) for name in _NAMES}
    return Outputs(
        logits=whole["logits"],
        foreign=whole["foreign"].reshape(-1),
        features=whole["features"],
        evidence=whole["evidence"],
    )


def _outputs_by_name(interpreter: Any, path: Path) -> dict[str, int]:
    """Map our output names to tensor indices through the signature: a flat buffer numbers its outputs as it likes."""
    signatures = interpreter.get_signature_list()
    if "serving_default" not in signatures or set(signatures["serving_default"]["outputs"]) != set(_NAMES):
        raise ModelError(f"{path.name} does not have the outputs {', '.join(_NAMES)}")
    runner = interpreter.get_signature_runner("serving_default")
    return {name: int(details["index"]) for name, details in runner.get_output_details().items()}
