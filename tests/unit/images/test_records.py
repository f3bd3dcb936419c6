"""Values that no dead letter can hold: kept once, verified when read, found by nobody who asks for a picture."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from schemas.events import ImageReference
from streams.images.errors import HashMismatchError, ImageError, OutsideStoreError
from streams.images.records import RecordStore
from streams.images.store import ImageStore

DATA = b"a" * 3_000
HASH = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> RecordStore:
    return RecordStore(f"file://{tmp_path}/images/records")


def test_what_is_kept_is_read_again_and_kept_once(store: RecordStore, tmp_path: Path) -> None:
    address = store.put(DATA)
    assert store.put(DATA) == address
    assert store.get(address, len(DATA), HASH) == DATA
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_what_was_changed_is_refused(store: RecordStore, tmp_path: Path) -> None:
    address = store.put(DATA)
    (path,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    path.write_bytes(b"b" * len(DATA))
    with pytest.raises(HashMismatchError):
        store.get(address, len(DATA), HASH)


@pytest.mark.parametrize("address", ["file:///etc/passwd", "file:///x/../../etc/passwd", ""])
def test_an_address_that_is_not_its_own_is_refused(store: RecordStore, address: str) -> None:
    with pytest.raises(OutsideStoreError):
        store.get(address, 10, HASH)


def test_a_hash_that_is_none_is_refused(store: RecordStore) -> None:
    address = store.put(DATA)
    with pytest.raises(ImageError):
        store.get(address, 10, "../" + HASH)


def test_a_picture_is_not_taken_from_among_them_by_its_hash(store: RecordStore, tmp_path: Path) -> None:
    store.put(DATA)
    pictures = ImageStore(f"file://{tmp_path}/images")
    reference = ImageReference(
        uri=f"file://{tmp_path}/images/records/{HASH[:2]}/{HASH}",
        sha256=HASH,
        size_bytes=len(DATA),
        media_type="image/jpeg",
    )
    with pytest.raises(ImageError):
        pictures.fetch(reference)


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_what_is_removed_is_gone_and_nothing_else_is(scheme: str, tmp_path: Path) -> None:
    store = RecordStore(f"{scheme}://{tmp_path}/images/records")
    address, other = store.put(DATA), store.put(b"another's")
    assert store.holds(address, HASH)
    assert store.remove(address, HASH)
    assert not store.holds(address, HASH)
    assert not store.remove(address, HASH)
    assert store.get(other, 9, hashlib.sha256(b"another's").hexdigest()) == b"another's"
    with pytest.raises(OutsideStoreError):
        store.remove("file:///etc/passwd", HASH)


def test_nothing_is_removed_through_a_link(store: RecordStore, tmp_path: Path) -> None:
    address = store.put(DATA)
    folder = tmp_path / "images" / "records" / HASH[:2]
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutsideStoreError):
        store.remove(address, HASH)
    assert len(list((tmp_path / "elsewhere").iterdir())) == 1
