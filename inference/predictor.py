"""From encoded pictures to findings: the one class that the pipeline talks to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from inference import versions as registry
from inference.decode import Decoded, decode, to_square
from inference.explain import HeatMap, region
from inference.findings import AbstainReason, Finding, ImageProblem, ModelError
from inference.quality import QualityLimits, measure, objection
from inference.rejection import FeatureStatistics, RejectionLimits, probabilities
from inference.runtimes import LiteRtRuntime, NetworkRuntime, Outputs, TensorFlowRuntime

Runtime = Literal["litert", "tensorflow"]


class Predictor:
    """One loaded model version. Safe for one caller at a time, typically an executor thread.

    `model_dir` is the folder of one version; it is verified before anything in it is used, and `ModelError` says
    what is wrong. `batch_size` bounds what the network sees at once, and with it the memory. `threads` bounds the
    threads of decoding and of the runtime each. LiteRT is the default runtime; TensorFlow is the reference, and is
    imported only when asked for.
    """

    def __init__(self, model_dir: Path, *, batch_size: int = 32, threads: int = 1, runtime: Runtime = "litert") -> None:
        if batch_size < 1 or threads < 1:
            raise ValueError("batch_size and threads are at least 1")
        self._bundle = registry.verify(model_dir.name, model_dir.parent)
        try:
            self._temperature = float(self._bundle.settings["temperature"])
            self._quality = QualityLimits.from_mapping(self._bundle.settings["quality"])
            self._limits = RejectionLimits(**self._bundle.settings["rejection"])
            self._side = int(self._bundle.settings["side"])
            self._statistics = FeatureStatistics.read(model_dir / "rejection.npz")
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise ModelError(f"model {self.model_version}: unusable settings ({type(error).__name__})") from error
        self._batch_size = batch_size
        # OpenCV would start a thread a core in every process; the process count is what scales here.
        cv2.setNumThreads(1)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode") if threads > 1 else None
        self._network: NetworkRuntime = (
            LiteRtRuntime(model_dir / "model.tflite", threads=threads)
            if runtime == "litert"
            else TensorFlowRuntime(model_dir / "model.keras", threads=threads, batch_size=batch_size)
        )

    @classmethod
    def load(
        cls,
        version: str | None = None,
        directory: Path | None = None,
        *,
        batch_size: int = 32,
        threads: int = 1,
        runtime: Runtime = "litert",
    ) -> Self:
        """Load `version` of the registry in `directory`; None means the active version, and the packaged models."""
        bundle = registry.load(version, directory)
        return cls(bundle.path, batch_size=batch_size, threads=threads, runtime=runtime)

    @property
    def model_version(self) -> str:
        """The version that every finding of this predictor carries."""
        return self._bundle.version

    def warm_up(self) -> None:
        """Run the network once at every size it will see, so that the first case does not pay for it.

        Raises `ModelError` when the outputs are not finite: a broken version is found out before it judges anything.
        """
        for count in {1, min(8, self._batch_size), self._batch_size}:
            self._run(np.full((count, self._side, self._side, 3), 127, np.uint8))

    def predict(self, images: Sequence[bytes]) -> list[Finding | ImageProblem]:
        """Judge encoded pictures; one result each, in order. A bad picture never spoils the batch, and never raises.

        Raises `ModelError` when the network fails or returns something that is no probability.
        """
        results: list[Finding | ImageProblem] = []
        for start in range(0, len(images), self._batch_size):
            part = images[start : start + self._batch_size]
            seen = list(map(_decoded, part) if self._pool is None else self._pool.map(_decoded, part))
            judged = iter(self.judge([each for each in seen if isinstance(each, Decoded)]))
            results.extend(each if isinstance(each, ImageProblem) else next(judged) for each in seen)
        return results

    def judge(self, pictures: Sequence[Decoded]) -> list[Finding]:
        """Judge pictures that are decoded; one finding each, in order. Raises `ModelError` as `predict` does."""
        results: list[Finding] = []
        for start in range(0, len(pictures), self._batch_size):
            results.extend(self._batch(pictures[start : start + self._batch_size]))
        return results

    def close(self) -> None:
        """Stop the decoding threads; the predictor must not be used afterwards."""
        if self._pool is not None:
            self._pool.shutdown()

    def _batch(self, pictures: Sequence[Decoded]) -> list[Finding]:
        results: dict[int, Finding] = {}
        shown: list[tuple[int, dict[str, float]]] = []
        for position, picture in enumerate(pictures):
            quality = measure(picture)
            reason = objection(quality, self._quality)
            if reason is not None:
                results[position] = self._declined(reason, quality)
            else:
                shown.append((position, quality))
        if shown:
            outputs = self._run(np.stack([to_square(pictures[at].pixels, self._side) for at, _ in shown]))
            calibrated = probabilities(outputs.logits, self._temperature)
            distance = self._statistics.distance(outputs.features)
            for row, (position, quality) in enumerate(shown):
                results[position] = self._finding(row, outputs, calibrated[row], float(distance[row]), quality)
        return [results[position] for position in range(len(pictures))]

    def _run(self, pixels: NDArray[np.uint8]) -> Outputs:
        outputs = self._network.run(pixels)
        for values in (outputs.logits, outputs.foreign, outputs.features):
            if not np.isfinite(values).all():
                raise ModelError(f"model {self.model_version} returned values that are not finite")
        return outputs

    def _finding(
        self, row: int, outputs: Outputs, calibrated: NDArray[np.float64], distance: float, quality: dict[str, float]
    ) -> Finding:
        classes = self._bundle.classes
        foreign = float(outputs.foreign[row])
        quality = {**quality, "foreign": round(foreign, 4), "distance": round(distance, 4)}
        named = MappingProxyType({name: float(value) for name, value in zip(classes, calibrated, strict=True)})
        if foreign > self._limits.foreign:
            return self._declined(AbstainReason.NOT_A_WOUND, quality, named)
        if distance > self._limits.distance:
            return self._declined(AbstainReason.UNFAMILIAR, quality, named)
        best = int(calibrated.argmax())
        heat = HeatMap(values=outputs.evidence[row, :, :, best].copy())
        return Finding(
            stage=classes[best],
            confidence=float(calibrated[best]),
            probabilities=named,
            quality=MappingProxyType(quality),
            model_version=self.model_version,
            region=region(heat) if classes[best] != "none" else None,
            heat=heat,
        )

    def _declined(
        self, reason: AbstainReason, quality: dict[str, float], named: Mapping[str, float] = MappingProxyType({})
    ) -> Finding:
        return Finding(
            stage=None,
            confidence=None,
            probabilities=named,
            abstained=reason.value,
            quality=MappingProxyType(quality),
            model_version=self.model_version,
        )


def _decoded(image: bytes) -> Decoded | ImageProblem:
    try:
        return decode(image)
    except ImageProblem as problem:
        return problem
