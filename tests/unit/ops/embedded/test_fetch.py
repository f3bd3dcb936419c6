"""Downloads from a real, local repository over HTTP: complete or not there at all, and never another file."""

from __future__ import annotations

import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.embedded import fetch as fetching
from ops.embedded.errors import FetchError
from ops.embedded.fetch import fetch
from ops.embedded.pins import PinnedFile, PinnedProgram


class Repository:
    """Files by path; `short` ones are cut off in the middle that many times."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.short: dict[str, int] = {}
        self.requests: list[str] = []

    def add(self, artifact: str, content: bytes, packaging: str = "jar") -> PinnedFile:
        self.files[f"/org/example/{artifact}/1.0/{artifact}-1.0.{packaging}"] = content
        return PinnedFile(
            group="org.example",
            artifact=artifact,
            version="1.0",
            classifier="",
            packaging=packaging,
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    served = Repository()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests.append(self.path)
            content = served.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if served.short.get(self.path, 0) > 0:
                served.short[self.path] -= 1
                content = content[: len(content) // 2]
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    config = tmp_path / "jgo.conf"
    config.write_text(f"[repositories]\nlocal = http://127.0.0.1:{server.server_port}\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(config))
    monkeypatch.setenv("VIGIA_CACHE_DIR", str(tmp_path / "cache"))
    # The waiting between attempts is not what these tests are about.
    monkeypatch.setattr(fetching, "PAUSE_S", 0.0)
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


def program(*files: PinnedFile) -> PinnedProgram:
    return PinnedProgram(name="example", title="Example", version="1.0", files=files)


def test_files_are_fetched_once(repository: Repository) -> None:
    wanted = program(repository.add("one", b"1" * 10_000), repository.add("two", b"2" * 10_000))
    home = fetch(wanted)
    assert {path.name for path in home.iterdir()} == {"one-1.0.jar", "two-1.0.jar"}
    asked = len(repository.requests)
    assert fetch(wanted) == home
    assert len(repository.requests) == asked


def test_an_archive_is_unpacked(repository: Repository) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        entry = tarfile.TarInfo("lib/inner.jar")
        entry.size = 3
        tar.addfile(entry, io.BytesIO(b"abc"))
    home = fetch(program(repository.add("app", packed.getvalue(), packaging="tar.gz")))
    assert (home / "lib" / "inner.jar").read_bytes() == b"abc"
    assert not (home / "app-1.0.tar.gz").exists()


def test_a_file_that_is_not_the_pinned_one_is_refused(repository: Repository, tmp_path: Path) -> None:
    pin = repository.add("one", b"good" * 1_000)
    repository.add("one", b"evil" * 1_000)
    with pytest.raises(FetchError, match=r"one-1\.0\.jar could not be fetched: its SHA-256"):
        fetch(program(pin))
    assert not list((tmp_path / "cache").rglob("*.jar"))


def test_a_connection_cut_off_is_tried_again(repository: Repository) -> None:
    pin = repository.add("one", b"1" * 1_000_000)
    repository.short["/org/example/one/1.0/one-1.0.jar"] = fetching.ATTEMPTS - 1
    assert (fetch(program(pin)) / "one-1.0.jar").stat().st_size == 1_000_000


def test_what_was_complete_before_a_failure_is_not_fetched_again(repository: Repository) -> None:
    first, second = repository.add("one", b"1" * 1_000), repository.add("two", b"2" * 1_000_000)
    repository.short["/org/example/two/1.0/two-1.0.jar"] = fetching.ATTEMPTS
    with pytest.raises(FetchError, match=r"two-1\.0\.jar"):
        fetch(program(first, second))
    repository.requests.clear()
    assert {path.name for path in fetch(program(first, second)).iterdir()} == {"one-1.0.jar", "two-1.0.jar"}
    assert "/org/example/one/1.0/one-1.0.jar" not in repository.requests


def test_two_at_once_download_once(repository: Repository) -> None:
    wanted = program(repository.add("one", b"1" * 1_000_000))
    homes: list[Path] = []
    threads = [threading.Thread(target=lambda: homes.append(fetch(wanted))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(homes)) == 1
    assert len(homes) == 4
    assert repository.requests.count("/org/example/one/1.0/one-1.0.jar") == 1
