"""How fast a version judges, what it costs in memory, and whether an event loop beside it stays awake."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from PIL import Image

from inference.predictor import Predictor, Runtime
from inference.runtimes import LiteRtRuntime, NetworkRuntime, TensorFlowRuntime
from inference.synthetic.generator import picture

BATCHES: Final = (1, 8, 32)
#: Widths of a phone's pictures in messaging (1280) and as taken by older cameras (1600), at 4:3.
WIDTHS: Final = (1280, 1600)
#: A measurement lasts at least this long; shorter ones measure the scheduler.
_SECONDS: Final = 2.0

_RSS = """
import sys, psutil
from pathlib import Path
from inference.predictor import Predictor
predictor = Predictor(Path(sys.argv[1]), threads=1, runtime=sys.argv[2])
predictor.warm_up()
print(psutil.Process().memory_info().rss)
"""


def photographs(width: int, count: int = 32) -> list[bytes]:
    """Return `count` wound pictures as 4:3 JPEGs of `width` pixels, quality 90."""
    result = []
    for index in range(count):
        pixels = cv2.resize(picture(51, index).pixels, (width, width * 3 // 4), interpolation=cv2.INTER_CUBIC)
        # A little noise: an enlarged picture is smoother than a camera's, and its JPEG too cheap to decode.
        noisy = pixels + np.random.default_rng(index).normal(0, 4, pixels.shape)
        stream = io.BytesIO()
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
        result.append(stream.getvalue())
    return result


def network_speed(path: Path, runtime: Runtime, *, threads: int) -> dict[int, float]:
    """Return pictures per second of the bare network by batch size."""
    speeds = {}
    for batch in BATCHES:
        network: NetworkRuntime = (
            LiteRtRuntime(path / "model.tflite", threads=threads)
            if runtime == "litert"
            else TensorFlowRuntime(path / "model.keras", threads=threads, batch_size=batch)
        )
        pixels = np.random.default_rng(0).integers(0, 255, (batch, 128, 128, 3)).astype(np.uint8)
        speeds[batch] = _rate(lambda pixels=pixels, network=network: network.run(pixels), batch)  # type: ignore[misc]
    return speeds


def predictor_speed(path: Path, runtime: Runtime, *, threads: int, width: int) -> dict[int, float]:
    """Return pictures per second from bytes to findings by batch size."""
    files = photographs(width)
    speeds = {}
    for batch in BATCHES:
        predictor = Predictor(path, batch_size=batch, threads=threads, runtime=runtime)
        predictor.warm_up()
        speeds[batch] = _rate(_calls(predictor, files, batch), batch)
        predictor.close()
    return speeds


def memory(path: Path, runtime: Runtime) -> int:
    """Return the resident bytes of a fresh process that loaded the version and warmed it up."""
    program = [sys.executable, "-c", _RSS, str(path), runtime]
    return int(subprocess.run(program, check=True, capture_output=True, text=True).stdout.split()[-1])


def lateness(path: Path, *, threads: int, width: int = 1280, seconds: float = 5.0) -> Mapping[str, float]:
    """Return how late (ms) a 5 ms timer of an event loop fires while the predictor works in an executor thread.

    `p50`, `p99` and `max`, and `idle_p99`: the same without the predictor, which is what the machine itself costs.
    """
    predictor = Predictor(path, batch_size=32, threads=threads)
    files = photographs(width)

    async def measure(busy: bool) -> list[float]:
        loop, late = asyncio.get_running_loop(), []
        stop = loop.time() + seconds
        with ThreadPoolExecutor(1) as pool:
            work = loop.run_in_executor(pool, predictor.predict, files) if busy else None
            while loop.time() < stop:
                due = loop.time() + 0.005
                await asyncio.sleep(0.005)
                late.append((loop.time() - due) * 1000)
                if work is not None and work.done():
                    work = loop.run_in_executor(pool, predictor.predict, files)
            if work is not None:
                await work
        return late

    idle, busy = asyncio.run(measure(False)), asyncio.run(measure(True))
    predictor.close()
    return {**_percentiles(busy), "idle_p99": _percentiles(idle)["p99"]}


def _calls(predictor: Predictor, files: Sequence[bytes], batch: int) -> Callable[[], object]:
    chunks = [files[at : at + batch] for at in range(0, len(files) - batch + 1, batch)]
    position = -1

    def call() -> object:
        nonlocal position
        position = (position + 1) % len(chunks)
        return predictor.predict(chunks[position])

    return call


def _rate(call: Callable[[], object], batch: int) -> float:
    call()
    began, calls = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - began) < _SECONDS:
        call()
        calls += 1
    return calls * batch / elapsed


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    p50, p99 = np.quantile(values, [0.5, 0.99])
    return {"p50": float(p50), "p99": float(p99), "max": float(max(values))}
