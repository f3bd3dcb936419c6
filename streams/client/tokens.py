"""Patient codes become tokens before anything leaves the publishing process: Kafka never sees a code.

A token is a keyed hash (HMAC-SHA-256), so that nobody without the hospital's key can find the code by trying all of
them: there are only a few million of the form CD-2025-001. The same patient has the same token, which is what grouping
and erasing need.

Form: `vpt1-<key id, 8 hex>-<64 hex>`. The key id is derived from the key and tells tokens of an old key from those of a
new one. After a rotation the same patient gets a new token: whoever must find both computes both, with the old and the
new key.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata

from schemas.errors import OneLineError
from streams.settings import DEFAULT_PATIENT_CODE_PATTERN, Settings

#: What a token looks like; an event whose token does not match has no valid patient token.
TOKEN_PATTERN = re.compile(r"vpt1-[0-9a-f]{8}-[0-9a-f]{64}", re.ASCII)

# Each use of the key hashes under a name of its own, so that no output of one can pass for an output of the other.
_TOKEN_DOMAIN = b"vigia/patient-token/v1\x00"
_KEY_ID_DOMAIN = b"vigia/token-key-id/v1\x00"


class PatientCodeError(OneLineError, ValueError):
    """A code that does not have the configured form. The text never holds the code."""


class TokenKeyMissingError(OneLineError):
    """No key is configured, and there is no safe default."""


class Tokeniser:
    """Turns the codes of one hospital into tokens."""

    def __init__(self, key: bytes, pattern: str = DEFAULT_PATIENT_CODE_PATTERN) -> None:
        """`key` has at least 32 bytes (streams/settings.py sees to it); `pattern` must match a code in full.

        Raises ValueError for a pattern that is no regular expression or a key that is empty.
        """
        if not key:
            raise ValueError("the token key is empty")
        # ASCII: \d must not accept the digits of other scripts, or one patient could have many codes.
        self._pattern = re.compile(pattern, re.ASCII)
        self._key = key
        self._prefix = f"vpt1-{_mac(key, _KEY_ID_DOMAIN)[:8]}-"

    @classmethod
    def from_settings(cls, settings: Settings) -> Tokeniser:
        """Raises TokenKeyMissingError where no key is configured."""
        if settings.token_key is None:
            raise TokenKeyMissingError(
                "no token key: make one with `openssl rand -hex 32 > FILE` and set VIGIA_TOKEN_KEY_FILE=FILE"
            )
        return cls(settings.token_key, settings.patient_code_pattern)

    def token(self, code: str) -> str:
        """The token of a patient code, in Unicode's composed form. Raises PatientCodeError unless all of it matches."""
        normalised = unicodedata.normalize("NFC", code)
        if self._pattern.fullmatch(normalised) is None:
            raise PatientCodeError(
                f"the patient code does not match {self._pattern.pattern} (VIGIA_PATIENT_CODE_PATTERN)"
            )
        return self._prefix + _mac(self._key, _TOKEN_DOMAIN + normalised.encode())


def is_token(text: str | None) -> bool:
    """Whether this is a token of ours, of whatever key."""
    return text is not None and TOKEN_PATTERN.fullmatch(text) is not None


def _mac(key: bytes, message: bytes) -> str:
    return hmac.new(key, message, hashlib.sha256).hexdigest()
