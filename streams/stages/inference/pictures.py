"""From references to pixels: fetched and decoded side by side, within one budget of bytes and one deadline.

What a picture costs is known before it is spent: its reference announces the file's size, its header what decoding
takes. A plain JPEG is decoded in the thread that fetched it; anything else in a process of its own, whose memory and
time are bounded, so that no picture can end this process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from inference.decode import Decoded, decode
from inference.decoders.pool import DecoderPool
from inference.findings import ImageProblem, ProblemCode
from inference.header import MAX_BYTES, Header, read_header
from schemas.events import ImageReference
from streams import metrics
from streams.images.budget import ByteBudget, Reservation
from streams.images.errors import ImageError, OutsideStoreError, StoreUnavailableError
from streams.images.metadata import carries_metadata
from streams.images.store import ImageStore
from streams.runtime.records import InputProblem
from streams.runtime.retry import Deadline, until_deadline
from streams.threads import Lent

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

#: Pictures fetched at the same time. Fetching waits on disk or network, not on the processor.
FETCHERS: Final = 8
#: Bytes of files in memory at once: the largest picture and some of usual size beside it. Smaller: the largest is never
#: read. Larger: it is what a worker's memory grows by.
FETCH_BYTES: Final = 64 * 2**20
#: Bytes that decoding may take at once, in all decoder processes, their copies of the files included: two of the
#: largest PNGs, or one of anything (`MAX_MEMORY + MAX_BYTES`). With the files, the model and idle decoders a worker
#: stays below 600 MiB (tests/integration/test_picture_memory.py).
DECODE_BYTES: Final = 344 * 2**20

Seen = Decoded | InputProblem


class Pictures:
    """Reads what events refer to. One event loop's object: `close` ends its threads and processes."""

    def __init__(self, store: ImageStore, stage: str, decoders: DecoderPool | None = None) -> None:
        self._store = store
        self._stage = stage
        self._decoders = decoders or DecoderPool()
        self._fetchers = ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch")
        self._fetching = ByteBudget(FETCH_BYTES)
        self._decoding = ByteBudget(DECODE_BYTES)
        self._lent = Lent()

    def start(self) -> None:
        """Start a decoder in advance, so that no emergency waits for it."""
        self._decoders.start()

    def close(self) -> None:
        """Let the threads end, and end the decoders."""
        self._fetchers.shutdown(wait=False)
        self._decoders.close()

    def longest_s(self) -> float:
        """Seconds that the oldest read or write has been under way; far beyond the deadlines, its thread is lost."""
        return self._lent.longest_s()

    def may_read(self, reference: ImageReference) -> bool:
        """Whether a picture at that address would be read."""
        try:
            self._store.check(reference)
        except OutsideStoreError:
            return False
        except ImageError:
            return True
        return True

    async def see(self, references: Sequence[ImageReference], deadline: Deadline) -> list[Seen]:
        """The pixels of each reference, or what is wrong with it, by the deadline. What is referred to twice is fetched
        and decoded once."""
        once = {key: asyncio.ensure_future(self._see_one(key, deadline)) for key in dict.fromkeys(references)}
        await asyncio.gather(*once.values())
        return [once[reference].result() for reference in references]

    async def put(self, draw: Callable[[], bytes], within_s: float) -> ImageReference:
        """Draw a picture and store it. Raises ImageError, StoreUnavailableError, TimeoutError."""
        async with asyncio.timeout(within_s):
            work = self._lent.watch(self._fetchers.submit(lambda: self._store.put(draw())))
            return await asyncio.wrap_future(work)

    async def _see_one(self, reference: ImageReference, deadline: Deadline) -> Seen:
        try:
            # What is never read is refused before it could wait for memory.
            folder, _ = self._store.check(reference)
            if reference.size_bytes > MAX_BYTES:
                raise ImageProblem(ProblemCode.TOO_LARGE, f"{reference.size_bytes} bytes, at most {MAX_BYTES} are read")
            size = min(reference.size_bytes * folder.copies, FETCH_BYTES)
            async with asyncio.timeout(deadline.left()), self._fetching.reserved(size) as held:
                fetched = await self._fetch(reference, held, deadline)
                if isinstance(fetched, tuple):
                    fetched = await self._decode(*fetched, deadline)
            if isinstance(fetched, Decoded):
                return fetched
            raise fetched
        except ImageProblem as problem:
            if problem.code in (ProblemCode.DECODER_FAILED, ProblemCode.DECODER_TIMEOUT):
                metrics.DECODER_ENDED.labels(problem.code.value).inc()
                logger.warning("a picture was refused: %s", problem)
            return InputProblem(reason=problem.code.value, detail=str(problem))
        except ImageError as error:
            return InputProblem(reason=error.code, detail=str(error))
        except StoreUnavailableError as error:
            return InputProblem(reason=error.code, detail="the image store did not answer in time")
        except TimeoutError:
            metrics.TIMED_OUT.labels(self._stage, "fetch").inc()
            return InputProblem(reason=ProblemCode.DECODER_TIMEOUT.value, detail="not fetched and decoded in time")

    async def _fetch(
        self, reference: ImageReference, held: Reservation, deadline: Deadline
    ) -> Decoded | tuple[bytes, Header] | ImageProblem | ImageError:
        return await until_deadline(
            lambda: _result(self._lent.watch(self._fetchers.submit(partial(self._fetch_one, reference))), held),
            StoreUnavailableError,
            deadline,
            stage=self._stage,
            dependency="image_store",
        )

    def _fetch_one(self, reference: ImageReference) -> Decoded | tuple[bytes, Header]:
        data = self._store.fetch(reference)
        header = read_header(data)
        if carries_metadata(data):
            metrics.UNSTRIPPED.labels(self._stage).inc()
        return decode(data, header) if header.plain else (data, header)

    async def _decode(self, data: bytes, header: Header, deadline: Deadline) -> Decoded | ImageProblem | ImageError:
        async with self._decoding.reserved(header.memory + len(data)) as held:
            return await _result(self._decoders.decode(data, header, deadline.left()), held)


async def _result(work: Future[_T], held: Reservation) -> _T | ImageProblem | ImageError:
    """What a thread returns, or what is wrong with the picture, as a value: an exception that is raised keeps what its
    frames hold, the picture's bytes, until the garbage collector comes by.

    The bytes that it works on stay reserved until it is done, whoever still waits.
    """
    held.hold_for(work)
    waited = asyncio.wrap_future(work)
    try:
        await asyncio.wait([waited])
    except asyncio.CancelledError:
        waited.cancel()
        raise
    error = waited.exception()
    if isinstance(error, ImageProblem | ImageError):
        return error.with_traceback(None)
    return waited.result()
