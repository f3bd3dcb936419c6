"""TLS as Python's `ssl` does it, for aiokafka and for HTTP: who is trusted, who we are, and why a handshake failed."""

from __future__ import annotations

import os
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.access.errors import AccessError
from schemas.access.secret import Secret
from schemas.access.variables import Variables

#: OpenSSL's numbers of what is wrong with a certificate (X509_V_ERR_…) → in words.
_WRONG = {
    9: "its certificate is not valid yet (is the clock right?)",
    10: "its certificate has expired",
    18: "its certificate is signed by itself, not by a CA of {trusted}",
    19: "its certificate is signed by an unknown CA, none of {trusted}",
    20: "its certificate is signed by an unknown CA, none of {trusted}",
    21: "its certificate is signed by an unknown CA, none of {trusted}",
    62: "its certificate is for another name",
    64: "its certificate is for another address",
}
#: A part of what OpenSSL says → in words, for what is no certificate's fault.
_SAID = {
    "WRONG_VERSION_NUMBER": "it speaks no TLS on this port",
    "RECORD_LAYER_FAILURE": "it speaks no TLS on this port",
    "UNEXPECTED_EOF": "it ended the TLS handshake (does it speak TLS on this port?)",
    "CERTIFICATE_REQUIRED": "it asks for a client certificate (mtls)",
    "HANDSHAKE_FAILURE": "it refuses the TLS handshake (does it ask for a client certificate?)",
    "UNKNOWN_CA": "it does not know the CA of our client certificate",
    "BAD_CERTIFICATE": "it refuses our client certificate",
    "CERTIFICATE_EXPIRED": "our client certificate has expired",
    "CERTIFICATE_UNKNOWN": "it refuses our client certificate",
    "PROTOCOL_VERSION": "it speaks only versions of TLS that are too old",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Files of one service's TLS. Without `ca_file` the CAs of the operating system are trusted."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password: Secret | None = None

    @property
    def trusted(self) -> str:
        """Who is trusted, in words."""
        return "this machine's" if self.ca_file is None else self.ca_file.name

    def context(self) -> ssl.SSLContext:
        """A context that reads renewed files by itself. Raises AccessError."""
        context = _Renewing(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.files = self
        context.renew()
        return context

    def check(self) -> None:
        """Raises AccessError where a file cannot be used."""
        self.context()

    def load_into(self, context: ssl.SSLContext) -> None:
        """Read the files. Raises AccessError naming the file."""
        if self.ca_file is None:
            context.load_default_certs()
        else:
            _load(self.ca_file, "holds no CA certificates", lambda: context.load_verify_locations(self.ca_file))
        if self.cert_file is not None:
            password = None if self.key_password is None else self.key_password.read()
            for file in (self.cert_file, self.key_file):
                _load(file, "cannot be read", lambda file=file: file and file.read_bytes())
            # Without a password OpenSSL would ask for one on the terminal.
            _load(
                self.key_file,
                f"is not the key of {self.cert_file.name}, or its password is wrong or missing",
                lambda: context.load_cert_chain(self.cert_file or "", self.key_file, password or (lambda: "")),
            )


def tls_of(variables: Variables, *, client: bool) -> Tls:
    """From …CA_FILE and, for a `client` certificate, …CERT_FILE, …KEY_FILE and …KEY_PASSWORD_FILE or _COMMAND.

    Raises AccessError for files that cannot be used.
    """
    ca = variables.get("CA_FILE")
    tls = Tls(ca_file=None if ca is None else Path(ca))
    if client:
        tls = Tls(
            ca_file=tls.ca_file,
            cert_file=Path(variables.need("CERT_FILE", "mtls")),
            key_file=Path(variables.need("KEY_FILE", "mtls")),
            key_password=variables.secret("KEY_PASSWORD"),
        )
    tls.check()
    return tls


def why(error: BaseException, trusted: str) -> str | None:
    """What a failed handshake says, in words; None where the error is no TLS error. `trusted`: whose CAs are."""
    found = _ssl_error(error)
    if found is None:
        return None
    if isinstance(found, ssl.SSLCertVerificationError):
        wrong = _WRONG.get(found.verify_code, f"its certificate is refused: {found.verify_message}")
        return wrong.format(trusted=trusted)
    said = f"{found.reason or ''} {found}".upper().replace(" ", "_")
    return next((words for part, words in _SAID.items() if part in said), "the TLS handshake fails")


class _Renewing(ssl.SSLContext):
    """Looks at its files before every connection: certificates are renewed while a worker runs for months."""

    files: Tls
    _read: tuple[Any, ...] = ()

    def renew(self) -> None:
        """Read the files where they are not those that were read."""
        seen = tuple(_stamp(file) for file in (self.files.ca_file, self.files.cert_file, self.files.key_file))
        if seen != self._read:
            self.files.load_into(self)
            self._read = seen

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """As the base class; asyncio calls this for every connection."""
        # A renewal that is only half written: the old files are good for this connection, or the broker says no.
        with suppress(AccessError):
            self.renew()
        return super().wrap_bio(*args, **kwargs)


def _stamp(file: Path | None) -> tuple[int, int, int] | None:
    if file is None:
        return None
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _load(file: Path | None, otherwise: str, load: Any) -> None:
    try:
        load()
    except ssl.SSLError:
        raise AccessError(f"{file} {otherwise}") from None
    except OSError as error:
        raise AccessError(f"{file} cannot be read: {error.strerror}") from None


def _ssl_error(error: BaseException | None) -> ssl.SSLError | None:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return error
        error = error.__cause__ or error.__context__
    return None
