"""Names as people write them, made comparable: without case, accents and punctuation, as whole words."""

from __future__ import annotations

import re
import unicodedata

_SEPARATORS = re.compile(r"[\W_]+")


def words(text: str) -> tuple[str, ...]:
    """The words of a name: `"Ácido acetilsalicílico 100 mg"` → `("acido", "acetilsalicilico", "100", "mg")`."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(character for character in decomposed if not unicodedata.combining(character))
    return tuple(word for word in _SEPARATORS.split(plain) if word)


def contains(sentence: tuple[str, ...], name: tuple[str, ...]) -> bool:
    """Whether `name` stands in `sentence` as consecutive whole words; the empty name stands nowhere."""
    length = len(name)
    return length > 0 and any(sentence[i : i + length] == name for i in range(len(sentence) - length + 1))
