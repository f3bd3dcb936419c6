"""A picture can end the process that decodes it, and nothing else."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.decode import decode
from inference.decoders.pool import DecoderPool
from inference.findings import ImageProblem, ProblemCode
from inference.header import read_header
from tests.unit.inference.pictures import encoded, heavy, large, slow

LIMIT_S = 60.0


@pytest.fixture(scope="module")
def shared() -> Iterator[DecoderPool]:
    pool = DecoderPool(1)
    yield pool
    pool.close()


@pytest.fixture
def pool() -> Iterator[DecoderPool]:
    made = DecoderPool(1)
    made.start().result()
    yield made
    made.close()


def until(condition: Callable[[], bool], what: str, limit_s: float = 60.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def problem_of(pool: DecoderPool, data: bytes, limit_s: float = LIMIT_S, **changed: int) -> ImageProblem:
    with pytest.raises(ImageProblem) as caught:
        pool.decode(data, replace(read_header(data), **changed), limit_s).result()
    return caught.value


def serves(pool: DecoderPool) -> bool:
    data = encoded(large(300), "PNG")
    return pool.decode(data, read_header(data), LIMIT_S).result().width == 300


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    "data",
    [
        encoded(large(700), "JPEG", progressive=True),
        encoded(large(700), "JPEG"),
        encoded(large(700, "CMYK"), "JPEG"),
        encoded(large(700, "RGBA"), "PNG"),
        encoded(large(700, "RGBA"), "WEBP", lossless=True),
        encoded(large(700), "WEBP"),
    ],
)
def test_another_process_gives_the_same_pixels(shared: DecoderPool, data: bytes) -> None:
    there, here = shared.decode(data, read_header(data), LIMIT_S).result(), decode(data)
    np.testing.assert_array_equal(there.pixels, here.pixels)
    assert (there.width, there.height) == (here.width, here.height)


def test_a_damaged_picture_gets_its_code_from_there(shared: DecoderPool) -> None:
    data = encoded(large(700), "PNG")
    assert problem_of(shared, data[: len(data) // 2]).code is ProblemCode.TRUNCATED
    assert serves(shared)


def test_no_picture_gets_more_memory_than_its_header_announced(pool: DecoderPool) -> None:
    assert problem_of(pool, heavy(), memory=1).code in (ProblemCode.DECOMPRESSION_BOMB, ProblemCode.TRUNCATED)
    assert serves(pool)


def test_the_death_of_a_decoder_costs_one_picture(pool: DecoderPool) -> None:
    (pid,) = pool.pids()
    os.kill(pid, signal.SIGSTOP)
    data = heavy()
    waiting = pool.decode(data, read_header(data), LIMIT_S)
    until(lambda: _sent(pool) > 0, "the picture was not handed over")
    os.kill(pid, signal.SIGSEGV)
    os.kill(pid, signal.SIGCONT)
    with pytest.raises(ImageProblem, match="decoder_failed: the decoder process ended"):
        waiting.result()
    assert serves(pool)
    assert pool.pids() != [pid]


def _sent(pool: DecoderPool) -> int:
    """Bytes that a decoder has not read yet."""
    connection = pool._processes[0]._connection
    assert connection is not None
    return int.from_bytes(fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def test_a_decoder_that_does_not_move_is_ended_at_its_limit(pool: DecoderPool) -> None:
    """At 73f85d3 nothing limited decoding: a TIFF of 5.7 MB held the lane for 46 s."""
    (pid,) = pool.pids()
    os.kill(pid, signal.SIGSTOP)
    assert problem_of(pool, heavy(), limit_s=0.2).code is ProblemCode.DECODER_TIMEOUT
    assert not runs(pid)
    assert serves(pool)


def test_a_picture_gets_so_much_processor_time_and_no_more() -> None:
    pool = DecoderPool(1, cpu_s=0.1)
    try:
        assert problem_of(pool, slow()).code is ProblemCode.DECODER_TIMEOUT
        assert serves(pool)
    finally:
        pool.close()


def test_decoders_end_with_the_pool(pool: DecoderPool) -> None:
    (pid,) = pool.pids()
    pool.close()
    until(lambda: not runs(pid), "the decoder outlived its pool")


def test_decoders_end_with_a_process_that_is_killed() -> None:
    program = (
        "import time; from inference.decoders.pool import DecoderPool; p = DecoderPool(1); p.start().result();"
        "print(p.pids()[0], flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert runs(pid)
        owner.kill()
    until(lambda: not runs(pid), "the decoder outlived its owner")


def test_a_decoder_has_none_of_its_owners_secrets(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIA_TOKEN_KEY", "secret")
    fresh = DecoderPool(1)
    try:
        fresh.start().result()
        assert b"VIGIA" not in Path(f"/proc/{fresh.pids()[0]}/environ").read_bytes()
    finally:
        fresh.close()


def test_what_libraries_write_is_bounded_and_holds_nobody(pool: DecoderPool) -> None:
    """At 73f85d3 three TIFFs of 2 kB wrote 142 MB into the worker's log."""
    noise = Path(f"/proc/{pool.pids()[0]}/fd/2")
    with noise.open("wb", buffering=0) as file:
        os.set_blocking(file.fileno(), False)
        while file.write(bytes(4096)):
            pass
    assert serves(pool)


def test_where_no_decoder_starts_every_picture_is_answered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    pool = DecoderPool(1)
    try:
        assert {problem_of(pool, heavy()).code for _ in range(5)} == {ProblemCode.DECODER_FAILED}
    finally:
        pool.close()
