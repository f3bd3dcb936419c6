"""TLS: what a failed handshake says, and certificates that are renewed while a process runs. Handshakes in memory."""

from __future__ import annotations

import ssl
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from schemas.access.errors import AccessError
from schemas.access.secret import Secret
from schemas.access.tls import Tls, why
from tests.authority import Authority, Pair

BROKER = "kafka.hospital"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


def serving(pair: Pair, ca: Path | None = None) -> ssl.SSLContext:
    """A broker's side; with `ca` it asks for client certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    if ca is not None:
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> ssl.SSLObject:
    """The broker's end after a handshake over memory. Raises what the client sees of a failed one."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=BROKER)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        with suppress(ssl.SSLWantReadError):
            ours.do_handshake()
        # What the broker refuses it tells the client, which reads it below.
        with suppress(ssl.SSLError):
            theirs.do_handshake()
    with suppress(ssl.SSLWantReadError):
        ours.read(1)
    return theirs


def reason(client: Tls, server: ssl.SSLContext) -> str | None:
    with pytest.raises(ssl.SSLError) as raised:
        handshake(client.context(), server)
    return why(raised.value, client.trusted)


def test_who_is_trusted_is_trusted(authority: Authority) -> None:
    handshake(Tls(ca_file=authority.ca).context(), serving(authority.sign("b", (BROKER,))))


def test_the_reasons_are_told_apart(authority: Authority, tmp_path: Path) -> None:
    trusted = Tls(ca_file=authority.ca)
    good = authority.sign("b", (BROKER,))
    other = Authority(tmp_path / "other", "Other")
    assert reason(Tls(ca_file=other.ca), serving(good)) == "its certificate is signed by an unknown CA, none of ca.pem"
    assert reason(trusted, serving(authority.sign("b", ("x.hospital",)))) == "its certificate is for another name"
    expired = authority.sign("b", (BROKER,), ends=-timedelta(days=1))
    assert reason(trusted, serving(expired)) == "its certificate has expired"


def test_no_certificate_where_one_is_asked_for(authority: Authority) -> None:
    asking = serving(authority.sign("b", (BROKER,)), authority.ca)
    assert reason(Tls(ca_file=authority.ca), asking) == "it asks for a client certificate (mtls)"


def test_no_tls_at_all(authority: Authority) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = Tls(ca_file=authority.ca).context().wrap_bio(incoming, outgoing, server_hostname=BROKER)
    incoming.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(ssl.SSLError) as raised:
        ours.do_handshake()
    assert why(raised.value, "") == "it speaks no TLS on this port"
    assert why(ConnectionRefusedError(), "") is None


def test_a_renewed_certificate_is_shown_at_the_next_connection(authority: Authority, tmp_path: Path) -> None:
    first, second = authority.sign("first", ()), authority.sign("second", ())
    cert, key = tmp_path / "client.pem", tmp_path / "client.key"
    cert.write_bytes(first.cert.read_bytes())
    key.write_bytes(first.key.read_bytes())
    client = Tls(ca_file=authority.ca, cert_file=cert, key_file=key).context()
    server = serving(authority.sign("b", (BROKER,)), authority.ca)

    def shown() -> str:
        found = handshake(client, server).getpeercert()
        assert found is not None
        return dict(part[0] for part in found["subject"])["commonName"]

    assert shown() == "first"
    for old, new in ((cert, second.cert), (key, second.key)):
        staging = tmp_path / "new"
        staging.write_bytes(new.read_bytes())
        staging.replace(old)
    assert shown() == "second"
    key.unlink()
    assert shown() == "second"


def test_files_that_cannot_be_used_are_named(authority: Authority, tmp_path: Path) -> None:
    pair, locked = authority.sign("c", ()), authority.sign("d", (), password=b"geheim")
    (tmp_path / "empty").write_text("")
    (tmp_path / "password").write_text("falsch")
    cases = [
        (Tls(ca_file=tmp_path / "none"), "none cannot be read: No such file or directory"),
        (Tls(ca_file=tmp_path / "empty"), "empty holds no CA certificates"),
        (Tls(cert_file=pair.cert, key_file=locked.key), f"{locked.key} is not the key of {pair.cert.name}, or"),
        (Tls(cert_file=locked.cert, key_file=locked.key), "or its password is wrong or missing"),
        (Tls(cert_file=tmp_path / "none", key_file=pair.key), "none cannot be read: No such file or directory"),
    ]
    wrong = Secret("X_FILE", str(tmp_path / "password"))
    cases.append((Tls(cert_file=locked.cert, key_file=locked.key, key_password=wrong), "or its password is wrong"))
    for tls, line in cases:
        with pytest.raises(AccessError) as raised:
            tls.check()
        assert line in str(raised.value)
        assert "\n" not in str(raised.value)
        assert "falsch" not in str(raised.value)
    (tmp_path / "password").write_text("geheim\n")
    Tls(cert_file=locked.cert, key_file=locked.key, key_password=wrong).check()
