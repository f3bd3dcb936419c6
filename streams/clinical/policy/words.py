"""Names as people write them, made comparable: without case, accents and punctuation, as whole words."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_SEPARATORS = re.compile(r"[\W_]+")


def words(text: str) -> tuple[str, ...]:
    """The words of a name: `"Ácido acetilsalicílico 100 mg"` → `("acido", "acetilsalicilico", "100", "mg")`."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(character for character in decomposed if not unicodedata.combining(character))
    return tuple(word for word in _SEPARATORS.split(plain) if word)


def contains_any(sentence: tuple[str, ...], names: frozenset[tuple[str, ...]]) -> bool:
    """Whether one of `names` stands in `sentence` as consecutive whole words; the empty name stands nowhere.

    Costs what the sentence is long, however many names there are: a hospital's list of drugs has hundreds.
    """
    longest = _longest(names)
    ends = range(1, len(sentence) + 1)
    return not names.isdisjoint([sentence[start:end] for end in ends for start in range(max(0, end - longest), end)])


@lru_cache(maxsize=64)
def _longest(names: frozenset[tuple[str, ...]]) -> int:
    return max(map(len, names), default=0)
