"""One decoder process, seen from its owner: started when needed, ended when it is late, dead or no longer wanted."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np

from inference.decode import LONGEST_SIDE, Decoded
from inference.decoders.protocol import ANSWER, LONGEST_TEXT, PROBLEMS, READY, REQUEST
from inference.findings import ImageProblem, ProblemCode
from inference.header import Header

#: Processor seconds that one picture may take: the largest picture within the limits takes one
#: (docs/performance.md), and a machine may be a few times slower.
CPU_S: Final = 4.0
#: A process that is not ready by then never will be: starting takes 0.3 s, on a machine with other work some seconds.
START_S: Final = 30.0
#: After so many starts in a row that failed, none is tried for a while: starting is not what is wrong with a picture.
START_TRIES, START_PAUSE_S = 3, 30.0

_ROOT: Final = str(Path(__file__).parents[2])
_PROGRAM: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); from inference.decoders.child import main; main(int(sys.argv[2]))"
)


class DecoderProcess:
    """For one thread, which must live as long: the kernel ends the process with the thread that started it."""

    def __init__(self, *, cpu_s: float = CPU_S) -> None:
        self._cpu_s = cpu_s
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._noise = -1
        self._failed_starts = 0
        self._not_before = 0.0

    @property
    def pid(self) -> int | None:
        """The process id, or None where none runs."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def start(self) -> None:
        """Start the process, where none runs, and wait until it is ready. Raises `ImageProblem` where that fails."""
        if self.pid is not None:
            return
        self.end()
        if time.monotonic() < self._not_before:
            raise ImageProblem(ProblemCode.DECODER_FAILED, "decoder processes do not start")
        try:
            self._launch()
        except (OSError, _EndedError) as error:
            said = self.end()
            self._failed_starts += 1
            if self._failed_starts >= START_TRIES:
                self._not_before = time.monotonic() + START_PAUSE_S
            raise ImageProblem(ProblemCode.DECODER_FAILED, f"a decoder process did not start: {error} {said}") from None
        self._failed_starts = 0

    def decode(self, data: bytes, header: Header, limit_s: float) -> Decoded:
        """The picture. Raises `ImageProblem`: what the process says, or that it died or took longer than `limit_s`."""
        self.start()
        assert self._connection is not None
        deadline = time.monotonic() + limit_s
        try:
            self._send(REQUEST.pack(header.memory, self._cpu_s, len(data)), deadline)
            self._send(data, deadline)
            problem, width, height, rows, columns, text = ANSWER.unpack(self._receive(ANSWER.size, deadline))
            if problem:
                if problem > len(PROBLEMS) or text > LONGEST_TEXT:
                    raise _EndedError("a wrong answer")
                detail = self._receive(text, deadline).decode(errors="replace")
                raise ImageProblem(PROBLEMS[problem - 1], detail)
            if not (0 < rows <= LONGEST_SIDE and 0 < columns <= LONGEST_SIDE):
                raise _EndedError("a wrong answer")
            pixels = np.frombuffer(self._receive(rows * columns * 3, deadline), np.uint8).reshape(rows, columns, 3)
            return Decoded(pixels=pixels, width=width, height=height)
        except TimeoutError:
            self.end()
            raise ImageProblem(ProblemCode.DECODER_TIMEOUT, f"not decoded within {limit_s:.1f} s") from None
        except (OSError, _EndedError) as error:
            raise self._death(error) from None

    def end(self) -> str:
        """End the process, where one runs, and forget it; the last line that it wrote to standard error."""
        process, self._process = self._process, None
        connection, self._connection = self._connection, None
        noise, self._noise = self._noise, -1
        if connection is not None:
            connection.close()
        if process is not None:
            process.kill()
            process.wait()
        if noise < 0:
            return ""
        with contextlib.suppress(OSError), open(noise, "rb") as file:
            os.set_blocking(noise, False)
            lines = (file.read(65_536) or b"").splitlines()
            return "" if not lines else lines[-1][:LONGEST_TEXT].decode("ascii", "replace")
        return ""

    def kill(self) -> None:
        """End the process from another thread; the thread that waits for it learns it at once."""
        process = self._process
        if process is not None:
            process.kill()

    def _launch(self) -> None:
        ours, theirs = socket.socketpair()
        self._connection = ours
        self._noise, noise = os.pipe()
        # Nothing of our environment: it holds keys, and the process that decodes is the one that may be taken over.
        environment = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, _ROOT, str(os.getpid())],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=noise,
                cwd="/",
                env=environment | {"OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,
            )
        finally:
            theirs.close()
            os.close(noise)
        try:
            if self._receive(1, time.monotonic() + START_S) != READY:
                raise _EndedError("a wrong answer")
        except TimeoutError:
            raise _EndedError("not ready in time") from None

    def _death(self, error: Exception) -> ImageProblem:
        process = self._process
        if process is None or (isinstance(error, _EndedError) and str(error) != _EndedError.SILENT):
            self.end()
            return ImageProblem(ProblemCode.DECODER_FAILED, f"the decoder gave {error}")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
        code = process.poll()
        self.end()
        if code == -signal.SIGPROF:
            return ImageProblem(ProblemCode.DECODER_TIMEOUT, f"not decoded within {self._cpu_s} s of processor time")
        how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        return ImageProblem(ProblemCode.DECODER_FAILED, f"the decoder process ended ({how})")

    def _send(self, data: bytes, deadline: float) -> None:
        assert self._connection is not None
        self._connection.settimeout(max(0.001, deadline - time.monotonic()))
        self._connection.sendall(data)

    def _receive(self, size: int, deadline: float) -> bytes:
        assert self._connection is not None
        buffer = bytearray(size)
        view, got = memoryview(buffer), 0
        while got < size:
            self._connection.settimeout(max(0.001, deadline - time.monotonic()))
            count = self._connection.recv_into(view[got:])
            if count == 0:
                raise _EndedError(_EndedError.SILENT)
            got += count
        return bytes(buffer)


class _EndedError(Exception):
    """The process is of no use any more."""

    SILENT = "no answer"
