"""A few decoder processes side by side, each with a thread that owns it."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from inference.decode import Decoded
from inference.decoders.process import CPU_S, DecoderProcess
from inference.findings import ImageProblem
from inference.header import Header

#: Processes. Two: a picture that takes its whole time must not hold the next one. Each holds 32 MiB when idle.
DECODERS: Final = 2


class DecoderPool:
    """Decodes in processes that are started when first needed, and again where one has died: once per such picture."""

    def __init__(self, size: int = DECODERS, *, cpu_s: float = CPU_S) -> None:
        self._cpu_s = cpu_s
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="decoder")
        self._own = threading.local()
        self._processes: list[DecoderProcess] = []

    def start(self) -> Future[None]:
        """Start one process in advance, so that the first picture does not pay for it."""
        return self._threads.submit(self._ready)

    def decode(self, data: bytes, header: Header, limit_s: float) -> Future[Decoded]:
        """The picture, later, or an `ImageProblem`. `limit_s` counts from the moment that a process takes it up."""
        return self._threads.submit(self._decode, data, header, limit_s)

    def pids(self) -> list[int]:
        """Process ids of the decoders that run."""
        return [pid for process in self._processes if (pid := process.pid) is not None]

    def close(self) -> None:
        """End all processes, at once; what waits is cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in self._processes:
            process.kill()

    def _mine(self) -> DecoderProcess:
        if not hasattr(self._own, "process"):
            self._own.process = DecoderProcess(cpu_s=self._cpu_s)
            self._processes.append(self._own.process)
        process: DecoderProcess = self._own.process
        return process

    def _ready(self) -> None:
        # Whoever sends a picture next learns what is wrong.
        with contextlib.suppress(ImageProblem):
            self._mine().start()

    def _decode(self, data: bytes, header: Header, limit_s: float) -> Decoded:
        process = self._mine()
        try:
            return process.decode(data, header, limit_s)
        finally:
            if process.pid is None:
                # The next picture shall not wait for the start either.
                with contextlib.suppress(RuntimeError):
                    self._threads.submit(self._ready)
