"""What is written can be read, unchanged, and nothing else can."""

import dataclasses
import hashlib
import io
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from schemas.events import ImageReference
from streams.images.errors import (
    HashMismatchError,
    ImageError,
    ImageMissingError,
    ImageTooLargeError,
    OutsideStoreError,
    StoreUnavailableError,
    UnsupportedImageError,
)
from streams.images.store import ImageStore


def picture(shade: int = 120, form: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (shade, 80, 70)).save(
        buffer, form, exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08" + bytes(6)
    )
    return buffer.getvalue()


def reference_to(path: Path, **changed: object) -> ImageReference:
    data = path.read_bytes() if path.is_file() else b"x"
    values: dict[str, object] = {
        "uri": f"file://{path}",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_bytes": len(data),
        "media_type": "image/jpeg",
    }
    return ImageReference(**(values | changed))  # type: ignore[arg-type]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


@pytest.fixture
def store(root: Path) -> ImageStore:
    """As lenient as can be: what it refuses, every other refuses too."""
    return ImageStore(f"file://{root}", named_roots=[f"file://{root}"])


@pytest.fixture(params=["folder", "folder with a space", "memory"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> ImageStore:
    if request.param == "memory":
        return ImageStore(f"memory://pictures/{tmp_path.name}")
    return ImageStore(f"file://{tmp_path}/{request.param}")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_stored_picture_is_fetched_with_its_hash_size_and_type(any_store: ImageStore, form: str) -> None:
    reference = any_store.put(picture(form=form))
    data = any_store.fetch(reference)
    assert hashlib.sha256(data).hexdigest() == reference.sha256
    assert len(data) == reference.size_bytes
    assert reference.media_type == f"image/{form.lower()}"
    np.testing.assert_array_equal(Image.open(io.BytesIO(data)), Image.open(io.BytesIO(picture(form=form))))


def test_storing_a_picture_again_changes_nothing(store: ImageStore, root: Path) -> None:
    first = store.put(picture())
    before = [(path, path.stat().st_mtime_ns) for path in root.rglob("*")]
    assert store.put(picture()) == first
    assert [(path, path.stat().st_mtime_ns) for path in root.rglob("*")] == before


def test_the_same_pixels_with_other_metadata_are_the_same_picture(store: ImageStore) -> None:
    plain = io.BytesIO()
    Image.new("RGB", (40, 30), (120, 80, 70)).save(plain, "JPEG", comment=b"Rosa")
    assert store.put(plain.getvalue()) == store.put(picture())


def test_an_address_is_made_of_the_hash_alone(store: ImageStore, root: Path) -> None:
    reference = store.put(picture())
    assert reference.uri == f"file://{root}/{reference.sha256[:2]}/{reference.sha256}.jpg"


def test_stored_files_are_closed_to_others_and_no_temporary_file_stays(store: ImageStore, root: Path) -> None:
    store.put(picture())
    (file,) = (path for path in root.rglob("*") if path.is_file())
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert not file.name.startswith(".")


def test_many_threads_may_store_and_fetch_at_once(store: ImageStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        references = list(pool.map(store.put, [picture(shade % 5 * 40) for shade in range(40)]))
        assert len(set(references)) == 5
        assert all(
            len(data) == reference.size_bytes
            for data, reference in zip(pool.map(store.fetch, references), references, strict=True)
        )


def test_bytes_that_are_no_picture_are_refused_unless_asked_for(store: ImageStore) -> None:
    for data in (b"", b"Rosa Munoz, room 12", b"%PDF-1.7"):
        with pytest.raises(UnsupportedImageError, match=r"^unsupported_image: not a JPEG, PNG or WebP picture$"):
            store.put(data)


@pytest.mark.parametrize(
    "data",
    [
        b"Rosa Munoz, room 12",
        b"%PDF-1.7 Rosa Munoz",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"GPS 33.4S 70.6W Rosa Munoz" * 40,
        b"II*\0\x08\0\0\0" + bytes(6) + b"Artist Rosa Munoz",
        bytes(128) + b"DICM" + b"PN Munoz^Rosa",
        b"GIF89a" + bytes(20) + b"Rosa Munoz",
    ],
)
def test_nothing_of_bytes_that_cannot_be_read_is_stored(store: ImageStore, root: Path, data: bytes) -> None:
    """At 73f85d3 HEIC, TIFF and DICOM were stored as they came, with place and name."""
    reference = store.put(data, accept_unreadable=True)
    assert reference.media_type == "application/octet-stream"
    assert store.put(data, accept_unreadable=True) == reference
    stored = store.fetch(reference)
    assert stored.startswith(b"unreadable picture of %d bytes" % len(data))
    assert hashlib.sha256(data).hexdigest().encode() in stored
    assert all(b"Munoz" not in path.read_bytes() for path in root.rglob("*") if path.is_file())
    assert store.put(data + b".", accept_unreadable=True) != reference


def test_a_picture_too_large_is_neither_stored_nor_read(root: Path) -> None:
    reference = ImageStore(f"file://{root}").put(picture())
    small = ImageStore(f"file://{root}", max_bytes=reference.size_bytes - 1)
    with pytest.raises(ImageTooLargeError):
        small.put(picture())
    with pytest.raises(ImageTooLargeError):
        small.fetch(reference)


def test_a_missing_picture_is_told_from_a_missing_store(any_store: ImageStore, tmp_path: Path) -> None:
    reference = any_store.put(picture())
    gone = dataclasses.replace(reference, uri=reference.uri.replace(reference.sha256, "0" * 64))
    with pytest.raises(ImageMissingError):
        any_store.fetch(gone)
    nowhere = ImageStore(f"file://{tmp_path}/not-mounted")
    with pytest.raises(StoreUnavailableError):
        nowhere.fetch(reference_to(tmp_path / "not-mounted" / "00" / ("0" * 64)))


def test_an_unwritable_store_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailableError):
        ImageStore(f"file://{tmp_path}/file").put(picture())


def test_a_scheme_without_a_driver_is_unavailable() -> None:
    with pytest.raises(StoreUnavailableError, match="no driver"):
        ImageStore("nosuchscheme://bucket").put(picture())


@pytest.mark.parametrize(
    "change", ["one byte", "longer", "shorter", "empty", "size lies", "hash lies", "announced empty"]
)
def test_a_picture_that_is_not_the_announced_one_is_refused(store: ImageStore, root: Path, change: str) -> None:
    reference = store.put(picture())
    file = next(path for path in root.rglob("*.jpg"))
    data = file.read_bytes()
    file.write_bytes(
        {"one byte": data[:-1] + b"\x00", "longer": data + b"\x00", "shorter": data[:-1], "empty": b""}.get(
            change, data
        )
    )
    if change == "size lies":
        reference = dataclasses.replace(reference, size_bytes=reference.size_bytes - 1)
    elif change == "hash lies":
        reference = dataclasses.replace(reference, sha256="0" * 64)
    elif change == "announced empty":
        reference = dataclasses.replace(reference, size_bytes=0)
    with pytest.raises(HashMismatchError):
        store.fetch(reference)


@pytest.mark.parametrize(
    "escape",
    [
        "file://{root}/../secret.jpg",
        "file://{root}/ab/../../secret.jpg",
        "file://{root}/./../secret.jpg",
        "file://{root}/%2e%2e/secret.jpg",
        "file://{root}//secret.jpg",
        "file://{root}/ab/.hidden.jpg",
        "file://{root}-other/secret.jpg",
        "file://{root}",
        "file://{root}/",
        "file://{root}/link.jpg",
        "file://{root}/folder/secret.jpg",
        "file://localhost{root}/ab.jpg",
        "file:///etc/passwd",
        "local://{root}/secret.jpg",
        "memory://{root}/secret.jpg",
        "simplecache::file://{root}/secret.jpg",
        "https://example.org/secret.jpg",
        "s3://bucket/secret.jpg?versionId=1",
    ],
)
def test_no_address_leads_out_of_the_roots(root: Path, store: ImageStore, escape: str) -> None:
    secret = root.parent / "secret.jpg"
    secret.write_bytes(picture())
    (root / "link.jpg").symlink_to(secret)
    (root / "folder").symlink_to(root.parent)
    # Not through the event's own check of addresses: an attacker writes the bytes.
    reference = reference_to(secret)
    object.__setattr__(reference, "uri", escape.format(root=root))
    with pytest.raises(OutsideStoreError) as caught:
        store.fetch(reference)
    assert "secret" not in str(caught.value)


def test_a_pipe_in_the_store_is_no_picture_and_holds_nobody(store: ImageStore, root: Path) -> None:
    os.mkfifo(root / "pipe.jpg")
    with pytest.raises(OutsideStoreError):
        store.fetch(reference_to(root / "pipe.jpg"))


def test_a_folder_or_a_file_as_folder_is_no_picture(store: ImageStore, root: Path) -> None:
    (root / "ab").mkdir()
    (root / "file").write_bytes(b"x")
    for uri in (f"file://{root}/ab", f"file://{root}/file/x.jpg"):
        with pytest.raises(OutsideStoreError):
            store.fetch(reference_to(root / "ab", uri=uri))


@pytest.mark.parametrize(
    "relative",
    [
        "patient=Juana-12345678-9.jpg",
        f"juana/{'0' * 64}.jpg",
        f"12345678/{'0' * 64}",
        f"{'0' * 64}-juana.jpg",
        "0" * 63,
    ],
)
def test_an_address_that_is_not_made_of_a_hash_is_read_only_below_a_root_that_is_named(
    root: Path, relative: str
) -> None:
    path = root / relative
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(picture())
    with pytest.raises(OutsideStoreError, match="not made of a hash") as caught:
        ImageStore(f"file://{root}").fetch(reference_to(path))
    assert "uana" not in str(caught.value)
    named = ImageStore(f"file://{root.parent}/other", named_roots=[f"file://{root}"])
    assert named.fetch(reference_to(path)) == picture()
    assert named.fetch(named.put(picture()))


def test_folders_and_ending_of_an_address_do_not_matter(root: Path) -> None:
    store, digest = ImageStore(f"file://{root}"), "ab" * 32
    for relative in (digest, f"ab/{digest}", f"ab/cd/{digest}.jpeg"):
        (root / relative).parent.mkdir(parents=True, exist_ok=True)
        (root / relative).write_bytes(picture())
        assert store.fetch(reference_to(root / relative))


def test_several_roots_may_be_read_while_one_is_written(tmp_path: Path) -> None:
    archive = ImageStore(f"file://{tmp_path}/archive").put(picture(1))
    store = ImageStore(f"file://{tmp_path}/new", [f"file://{tmp_path}/new", f"file://{tmp_path}/archive"])
    assert store.fetch(archive)
    assert store.fetch(store.put(picture(2)))


def test_a_root_may_itself_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "images").symlink_to(tmp_path / "volume")
    store = ImageStore(f"file://{tmp_path}/images/")
    assert store.fetch(store.put(picture()))


@pytest.mark.parametrize(
    "url", ["", "images", "/data/images", "file://", "s3://", "simplecache::s3://bucket", "s3://a b"]
)
def test_an_address_that_is_no_store_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="not an image store address"):
        ImageStore(url)


def test_each_error_carries_its_own_code() -> None:
    codes = {error.code for error in ImageError.__subclasses__()} | {StoreUnavailableError.code}
    assert codes == {
        "image_missing", "hash_mismatch", "outside_store", "too_large", "unsupported_image", "store_unavailable"
    }  # fmt: skip
    assert not issubclass(StoreUnavailableError, ImageError)
