"""Pictures of a batch: within the budget, once per content, and what goes wrong with one stays with that one."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import os
import signal
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from inference.decode import Decoded, decode
from inference.decoders.pool import DecoderPool
from schemas.events import ImageReference
from streams import metrics
from streams.images.store import ImageStore
from streams.runtime.records import InputProblem
from streams.runtime.retry import Deadline
from streams.stages.inference import pictures
from streams.stages.inference.pictures import Pictures, Seen
from tests.unit.inference.pictures import encoded, heavy, large, slow


class CountingStore(ImageStore):
    """The store, and how often and at how many bytes at once it was read."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.fetched: Counter[str] = Counter()
        self._lock = threading.Lock()

    def fetch(self, reference: ImageReference) -> bytes:
        with self._lock:
            self.fetched[reference.sha256] += 1
        return super().fetch(reference)


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    return CountingStore(f"file://{tmp_path}")


def see(
    store: ImageStore, references: list[ImageReference], limit_s: float = 60, decoders: DecoderPool | None = None
) -> list[Seen]:
    async def work() -> list[Seen]:
        reader = Pictures(store, "test", decoders)
        try:
            return await reader.see(references, Deadline.after(limit_s))
        finally:
            reader.close()

    return asyncio.run(work())


def reason(seen: Seen) -> str:
    return seen.reason if isinstance(seen, InputProblem) else "seen"


def test_the_same_content_is_fetched_and_decoded_once(store: CountingStore) -> None:
    """At 73f85d3 thirty-two events that name one stored picture of 48 MiB took 1.98 GB."""
    reference = store.put(encoded(large(300), "JPEG"))
    other = store.put(encoded(large(301), "PNG"))
    seen = see(store, [reference, other] * 16)
    assert set(store.fetched.values()) == {1}
    assert all(isinstance(each, Decoded) for each in seen)
    assert seen[0] is seen[30]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_pixels_are_those_of_the_picture_whichever_way_it_is_decoded(store: CountingStore, kind: str) -> None:
    reference = store.put(encoded(large(700), kind))
    (seen,) = see(store, [reference])
    assert isinstance(seen, Decoded)
    np.testing.assert_array_equal(seen.pixels, decode(store.fetch(reference)).pixels)


def test_a_picture_that_was_published_with_metadata_is_counted(store: CountingStore, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Rosa"
    data = encoded(large(300), "JPEG", exif=exif)
    clean = store.put(data)
    digest = hashlib.sha256(data).hexdigest()
    (tmp_path / digest).write_bytes(data)
    uri = f"file://{tmp_path}/{digest}"
    before = metrics.UNSTRIPPED.labels("test")._value.get()
    for reference in (clean, dataclasses.replace(clean, uri=uri, sha256=digest, size_bytes=len(data))):
        assert isinstance(see(store, [reference])[0], Decoded)
    assert metrics.UNSTRIPPED.labels("test")._value.get() == before + 1


def test_a_file_larger_than_any_picture_is_not_read(store: CountingStore) -> None:
    reference = dataclasses.replace(store.put(encoded(large(300), "JPEG")), size_bytes=10**12)
    assert reason(see(store, [reference])[0]) == "too_large"
    assert not store.fetched


def test_more_bytes_than_the_budget_are_fetched_one_after_the_other(
    store: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    references = [store.put(encoded(large(300 + at), "PNG")) for at in range(6)]
    monkeypatch.setattr(pictures, "FETCH_BYTES", max(each.size_bytes for each in references))
    assert all(isinstance(each, Decoded) for each in see(store, references))


def test_a_picture_that_kills_its_decoder_is_refused_and_its_neighbours_are_not(store: CountingStore) -> None:
    # It kills it for real, by a signal of the kernel: a tenth of a second is all that there is.
    bad = store.put(slow())
    good = [store.put(encoded(large(300), kind)) for kind in ("JPEG", "PNG", "WEBP")]
    seen = see(store, [bad, *good], decoders=DecoderPool(1, cpu_s=0.1))
    assert [reason(each) for each in seen] == ["decoder_timeout", "seen", "seen", "seen"]


def test_what_is_not_decoded_by_the_deadline_is_refused_and_its_neighbours_are_not(store: CountingStore) -> None:
    """At 73f85d3 an emergency waited as long as a decoder took: 46 s for one TIFF."""
    decoders = DecoderPool(1)
    decoders.start().result()
    os.kill(decoders.pids()[0], signal.SIGSTOP)
    references = [store.put(heavy()), store.put(encoded(large(300), "JPEG")), store.put(encoded(large(300), "PNG"))]
    seen = see(store, references, limit_s=3.0, decoders=decoders)
    assert [reason(each) for each in seen] == ["decoder_timeout", "seen", "decoder_timeout"]
