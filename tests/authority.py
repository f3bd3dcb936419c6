"""A certificate authority for tests: servers and clients, sound and unsound."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """Files of one certificate (PEM)."""

    cert: Path
    key: Path
    #: Key and certificate in one file, as Kafka takes them.
    both: Path


class Authority:
    """Signs certificates below a folder; `ca` is the file that clients trust."""

    def __init__(self, folder: Path, name: str = "Hospital CA") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._numbers = itertools.count()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        certificate = (
            _builder(self._name, self._name, self._key.public_key(), 3650 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(_pem(certificate))

    def sign(
        self,
        name: str,
        addresses: tuple[str, ...] = ("127.0.0.1", "localhost"),
        *,
        ends: timedelta = 30 * DAY,
        password: bytes | None = None,
    ) -> Pair:
        """A certificate for these addresses that ends so long from now (before it, where negative)."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [_general(address) for address in addresses]
        certificate = (
            _builder(_named(name), self._name, key.public_key(), ends)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        stem = f"{name}-{next(self._numbers)}"
        pair = Pair(self._folder / f"{stem}.pem", self._folder / f"{stem}.key", self._folder / f"{stem}.both.pem")
        encryption = (
            serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password)
        )
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        pair.cert.write_bytes(_pem(certificate))
        pair.key.write_bytes(private)
        pair.both.write_bytes(private + _pem(certificate))
        return pair


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, ends: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, now + ends) - DAY)
        .not_valid_after(now + ends)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
