"""From encoded pictures to findings: the one class that the pipeline talks to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from inference import registry
from inference.findings import Finding, ImageProblem, ModelError

Runtime = Literal["litert", "tensorflow"]


class Predictor:
    """One loaded model version. Safe for one caller at a time, typically an executor thread.

    `model_dir` is the folder of one version (`registry.load(...).path`); it is verified before anything is read from
    it. `threads` bounds the threads of the runtime. LiteRT is the default runtime; TensorFlow is the reference.
    """

    def __init__(self, model_dir: Path, *, batch_size: int = 32, threads: int = 1, runtime: Runtime = "litert") -> None:
        self._bundle = registry.verify(model_dir.name, model_dir.parent)
        self._batch_size = batch_size
        self._threads = threads
        self._runtime = runtime

    @property
    def model_version(self) -> str:
        """The version that every finding of this predictor carries."""
        return self._bundle.version

    def warm_up(self) -> None:
        """Run the network once at every batch shape it will see, so that the first case does not pay for it."""
        raise ModelError("not trained yet")

    def predict(self, images: Sequence[bytes]) -> list[Finding | ImageProblem]:
        """Judge encoded pictures; one result each, in order. A bad picture never spoils the batch, and never raises.

        Raises `ModelError` when the network fails or returns something that is no probability.
        """
        raise ModelError("not trained yet")
