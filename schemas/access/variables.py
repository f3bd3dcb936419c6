"""The variables of one service, read with one line for each thing that is missing or does not go together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from schemas.access.errors import AccessError
from schemas.access.secret import Secret

PAGE = "see docs/security.md"
SOURCES = ("_FILE", "_COMMAND")


class Variables:
    """What is set of the variables that begin with `prefix`; names are given without it."""

    def __init__(self, prefix: str, found: Mapping[str, str]) -> None:
        self._prefix = prefix
        self._found = found

    def name(self, short: str) -> str:
        """The whole name."""
        return f"{self._prefix}{short}"

    def get(self, short: str) -> str | None:
        """Its value; None where it is not set."""
        return self._found.get(self.name(short))

    def need(self, short: str, what: str) -> str:
        """Its value. Raises AccessError saying that `what` needs it."""
        value = self.get(short)
        if value is None:
            raise AccessError(f"{what} needs {self.name(short)}; {PAGE}")
        return value

    def secret(self, short: str) -> Secret | None:
        """The secret that `short` with _FILE or _COMMAND names; None where neither is set. Raises AccessError."""
        if self.get(short) is not None:
            raise AccessError(
                f"{self.name(short)} must not hold a secret: name a file in {self.name(short)}_FILE, "
                f"or a command in {self.name(short)}_COMMAND"
            )
        given = [f"{short}{source}" for source in SOURCES if self.get(f"{short}{source}") is not None]
        if len(given) > 1:
            raise AccessError(
                f"{' and '.join(map(self.name, given))} are both set: one of them says where the secret is"
            )
        return Secret(self.name(given[0]), self._found[self.name(given[0])]) if given else None

    def need_secret(self, short: str, what: str) -> Secret:
        """The secret. Raises AccessError saying that `what` needs it."""
        secret = self.secret(short)
        if secret is None:
            raise AccessError(f"{what} needs {self.name(short)}_FILE or {self.name(short)}_COMMAND; {PAGE}")
        return secret

    def refuse_others(self, known: Iterable[str], allowed: Iterable[str], what: str) -> None:
        """Raises AccessError for the first of the `known` that is set and not `allowed`."""
        allowed = set(allowed)
        for short in known:
            if short not in allowed and self.get(short) is not None:
                raise AccessError(f"{self.name(short)} does not go with {what}; {PAGE}")


def with_sources(*secrets: str) -> tuple[str, ...]:
    """The names of secrets with each of their sources, and without: what may be set of them."""
    return tuple(f"{secret}{source}" for secret in secrets for source in ("", *SOURCES))
