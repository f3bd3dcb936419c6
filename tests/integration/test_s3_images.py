"""The image store on S3, spoken to over HTTP: moto's server stands in for the hospital's object store."""

from __future__ import annotations

import dataclasses
import io
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from PIL import Image

from schemas.events import ImageReference
from streams.images.backends import S3_CONNECT_TIMEOUT_S, S3_READ_TIMEOUT_S
from streams.images.errors import (
    HashMismatchError,
    ImageMissingError,
    ImageTooLargeError,
    OutsideStoreError,
    StoreUnavailableError,
)
from streams.images.store import ImageStore

ENV = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def picture(shade: int = 90) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (shade, 60, 50)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(server: str, monkeypatch: pytest.MonkeyPatch, unique: str) -> Any:
    for name, value in {**ENV, "AWS_ENDPOINT_URL": server}.items():
        monkeypatch.setenv(name, value)
    return boto3.client("s3")


@pytest.fixture
def bucket(s3: Any, unique: str) -> str:
    name = unique.strip(".")
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def store(bucket: str) -> ImageStore:
    return ImageStore(f"s3://{bucket}/pictures")


def object_of(reference: ImageReference) -> dict[str, str]:
    bucket, _, key = reference.uri.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": key}


def test_a_stored_picture_is_fetched_from_s3(store: ImageStore, bucket: str) -> None:
    reference = store.put(picture())
    assert reference.uri == f"s3://{bucket}/pictures/{reference.sha256[:2]}/{reference.sha256}.png"
    assert store.fetch(reference) == picture()
    assert store.put(picture()) == reference


def test_many_threads_share_a_store(store: ImageStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        references = list(pool.map(store.put, [picture(shade) for shade in range(24)]))
        assert list(pool.map(store.fetch, references)) == [picture(shade) for shade in range(24)]


def test_a_missing_picture_is_told_from_a_missing_bucket(store: ImageStore, bucket: str, s3: Any) -> None:
    reference = store.put(picture())
    s3.delete_object(**object_of(reference))
    with pytest.raises(ImageMissingError):
        store.fetch(reference)
    s3.delete_bucket(Bucket=bucket)
    with pytest.raises(StoreUnavailableError, match="NoSuchBucket"):
        store.fetch(reference)
    with pytest.raises(StoreUnavailableError, match="NoSuchBucket"):
        store.put(picture())


@pytest.mark.parametrize("change", ["one byte", "longer", "shorter", "empty"])
def test_an_object_that_was_changed_is_refused(store: ImageStore, s3: Any, change: str) -> None:
    reference = store.put(picture())
    changed = {"one byte": picture()[:-1] + b"x", "longer": picture() + b"x", "shorter": picture()[:-1], "empty": b""}
    s3.put_object(**object_of(reference), Body=changed[change])
    with pytest.raises(HashMismatchError):
        store.fetch(reference)


def test_an_object_far_larger_than_announced_is_not_read_whole(store: ImageStore, s3: Any) -> None:
    reference = store.put(picture())
    s3.put_object(**object_of(reference), Body=picture() + bytes(20_000_000))
    with pytest.raises(HashMismatchError, match=f"more bytes instead of {reference.size_bytes}"):
        store.fetch(reference)


def test_a_picture_above_the_limit_is_not_asked_for(store: ImageStore, bucket: str) -> None:
    reference = store.put(picture())
    with pytest.raises(ImageTooLargeError):
        ImageStore(f"s3://{bucket}/pictures", max_bytes=10).fetch(reference)


def test_no_address_leads_out_of_the_bucket_and_prefix(store: ImageStore, bucket: str, s3: Any) -> None:
    reference = store.put(picture())
    s3.put_object(Bucket=bucket, Key="secret.png", Body=picture())
    s3.create_bucket(Bucket=bucket + "-other")
    s3.put_object(Bucket=bucket + "-other", Key="pictures/secret.png", Body=picture())
    for uri in (
        f"s3://{bucket}/secret.png",
        f"s3://{bucket}/pictures/../secret.png",
        f"s3://{bucket}-other/pictures/secret.png",
        f"s3://{bucket}/pictures/secret.png?versionId=1",
        f"s3a://{bucket}/pictures/secret.png",
        f"file:///{bucket}/pictures/secret.png",
    ):
        with pytest.raises(OutsideStoreError):
            store.fetch(dataclasses.replace(reference, uri=uri))


def test_a_server_that_refuses_us_is_unavailable(
    store: ImageStore, bucket: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = store.put(picture())
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        gone = ImageStore(f"s3://{bucket}/pictures")
        with pytest.raises(StoreUnavailableError):
            gone.fetch(reference)
        with pytest.raises(StoreUnavailableError):
            gone.put(picture())


def test_a_server_that_accepts_and_says_nothing_is_given_up(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        store = ImageStore(f"s3://{bucket}/pictures")
        reference = ImageReference(
            uri=f"s3://{bucket}/pictures/{'0' * 64}.png", sha256="0" * 64, size_bytes=9, media_type="image/png"
        )
        # What is given up must not be given up after minutes: the client library's own patience is switched off.
        waiter = threading.Timer(4 * (S3_CONNECT_TIMEOUT_S + S3_READ_TIMEOUT_S), released.set)
        waiter.start()
        with pytest.raises(StoreUnavailableError):
            store.fetch(reference)
        assert not released.is_set()
        waiter.cancel()


def test_a_store_that_comes_back_is_used_again(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free}")
    store = ImageStore(f"s3://{bucket}/pictures")
    with pytest.raises(StoreUnavailableError):
        store.put(picture())
    again = ThreadedMotoServer(ip_address="127.0.0.1", port=free, verbose=False)
    again.start()
    try:
        assert store.fetch(store.put(picture())) == picture()
    finally:
        again.stop()
