"""The program of a decoder process: reads pictures from its standard input, a socket, and answers with pixels.

It is given nothing to lose: no environment, no file to write, no more memory than a picture announced, seconds of
processor time. It ends with its owner: by a signal of the kernel, or at the latest where the socket ends.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
from typing import Final

import cv2

from inference.decode import Decoded, decode
from inference.decoders.protocol import ANSWER, LONGEST_TEXT, PROBLEMS, READY, REQUEST
from inference.findings import ImageProblem, ProblemCode
from inference.header import MAX_BYTES, MAX_MEMORY

#: Address space for Python itself, the libraries' buffers and fragments, beside what the picture announced.
_SLACK: Final = 48 * 2**20
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _M_MMAP_THRESHOLD = 1, 38, -3


def main(owner: int) -> None:
    """Serve until the owner closes the socket. `owner` is the process id that this process must not outlive."""
    connection = socket.socket(fileno=0)
    base = _confine(owner)
    connection.sendall(READY)
    while True:
        head = _read(connection, REQUEST.size)
        memory, cpu_s, size = REQUEST.unpack(head)
        data = _read(connection, size)
        _allow(resource.RLIMIT_AS, base + _SLACK + memory + size)
        # To the tick of a clock, where the kernel's own limit counts whole seconds of the process's life.
        signal.setitimer(signal.ITIMER_PROF, cpu_s)
        answer = _answer(data)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for part in answer:
            connection.sendall(part)
        del answer
        del data
        _allow(resource.RLIMIT_AS, _most(base))


def _confine(owner: int) -> int:
    """Give up what is not needed; the address space in use afterwards, in bytes."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != owner:
        sys.exit(0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # A large block is given back when it is freed, or one picture's memory would count against the next one.
    libc.mallopt(_M_MMAP_THRESHOLD, 256 * 1024)
    # Nobody reads what libraries write to standard error until this process has ended; full, it must not hold them.
    os.set_blocking(2, False)
    cv2.setNumThreads(1)
    with open("/proc/self/statm") as file:
        base = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (_most(base), _most(base)))
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(limit, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    return base


def _most(base: int) -> int:
    return base + _SLACK + MAX_MEMORY + MAX_BYTES


def _allow(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def _answer(data: bytes) -> tuple[bytes, bytes]:
    try:
        return _pixels(decode(data))
    except ImageProblem as problem:
        return _problem(problem.code, problem.detail)
    except MemoryError:
        return _problem(ProblemCode.DECOMPRESSION_BOMB, "takes more memory than its header announces")
    except Exception as error:
        # Whatever a library raises for bytes that nobody foresaw: it is this picture's fault, and no reason to end.
        return _problem(ProblemCode.TRUNCATED, f"damaged or incomplete ({type(error).__name__})")


def _pixels(picture: Decoded) -> tuple[bytes, bytes]:
    rows, columns = picture.pixels.shape[:2]
    return ANSWER.pack(0, picture.width, picture.height, rows, columns, 0), picture.pixels.tobytes()


def _problem(code: ProblemCode, detail: str) -> tuple[bytes, bytes]:
    text = detail.encode()[:LONGEST_TEXT]
    return ANSWER.pack(1 + PROBLEMS.index(code), 0, 0, 0, 0, len(text)), text


def _read(connection: socket.socket, size: int) -> bytes:
    """Exactly so many bytes; where the owner has closed the socket, the process ends."""
    # The kernel fills the whole buffer, as long as no signal interrupts it: no second copy is made.
    data = connection.recv(size, socket.MSG_WAITALL)
    if len(data) != size:
        sys.exit(0)
    return data
