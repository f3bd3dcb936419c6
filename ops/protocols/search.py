"""Full-text search over a policy: its protocols, its rules and its definitions, in Spanish and English.

What is found is a passage of the policy, word for word, with its citation: nothing is generated. The index is SQLite's
FTS5 in memory, over the stems of the words, so that "talones" finds "talón" and "dressings" finds "dressing"; accents
and case make no difference. Passages are ranked by BM25.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import snowballstemmer

from schemas.events import Text
from streams.clinical.policy.values import Policy, Rule
from streams.clinical.policy.words import words

#: Words of a question that are looked at; nobody asks with more.
LONGEST_QUESTION: Final = 64
#: The passage's own sentences weigh four times what it only refers to.
_FIND: Final = "SELECT rowid FROM passages WHERE passages MATCH ? ORDER BY bm25(passages, 4.0, 4.0, 1.0), rowid LIMIT ?"
_STOP_ES: Final = (
    "a al ante asi como con cual cuales cuando cuanto cuantas cuantos de debe debo del donde el ella en entre es "
    "esta este esto hace hacer hacia han hay la las le lo los mas me mi muy ni no o para pero por porque puede "
    "puedo que quien se ser si sin sobre son su sus tiene tengo un una uno unos y ya"
)
_STOP_EN: Final = (
    "about an and are as at be by can do does for from has have how i if in is it its may must of on or should "
    "that the there this to was what when where which who why with you"
)
_STOP: Final = frozenset(f"{_STOP_ES} {_STOP_EN}".split())
# Where the accent of "evaluación" was not typed, the stemmer does not know the ending.
_ACCENT: Final = re.compile(r"([cs])ion$")


class PassageKind(StrEnum):
    """Where a passage stands in the policy."""

    PROTOCOL = "protocol"
    RULE = "rule"
    DEFINITION = "definition"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A sentence of the policy, and where it stands.

    `id` is the protocol, rule or class; `version` that of the protocol, or of the policy; `section` the step of a
    protocol, counted from 1 (0 is its title). `details` are the texts that a rule gives when it matches.
    """

    kind: PassageKind
    id: str
    version: str
    section: int
    source: str
    es: str
    en: str
    details: tuple[Text, ...] = ()

    @property
    def citation(self) -> str:
        """`lpp_emergency 1.0.0, step 2 (vigia)`: id, version and section, and the source that the policy names."""
        step = f", step {self.section}" if self.section else ""
        return f"{self.id} {self.version}{step} ({self.source})"


class PolicySearch:
    """An index over one policy. Built in milliseconds, kept in memory, safe to ask from several threads."""

    def __init__(self, policy: Policy) -> None:
        self._stemmers = (snowballstemmer.stemmer("spanish"), snowballstemmer.stemmer("english"))
        self._lock = threading.Lock()
        self._passages = tuple(_passages(policy))
        self._index = sqlite3.connect(":memory:", check_same_thread=False)
        self._index.execute("CREATE VIRTUAL TABLE passages USING fts5(es, en, names)")
        self._index.executemany(
            "INSERT INTO passages (rowid, es, en, names) VALUES (?, ?, ?, ?)",
            (
                (row, self._stems(passage.es), self._stems(passage.en), self._stems(" ".join(names)))
                for row, (passage, names) in enumerate(self._passages)
            ),
        )

    def find(self, question: str, limit: int = 10) -> list[Passage]:
        """The passages that share a word with the question, the best first; none for a question without words."""
        stems = self._stems(question).split()[: 2 * LONGEST_QUESTION]
        if not stems:
            return []
        # Quoted: what somebody asks is words, never FTS5's own query language.
        match = " OR ".join(f'"{stem}"' for stem in dict.fromkeys(stems))
        with self._lock:
            rows = self._index.execute(_FIND, (match, limit)).fetchall()
        return [self._passages[row][0] for (row,) in rows]

    def close(self) -> None:
        """Free the index."""
        self._index.close()

    def _stems(self, text: str) -> str:
        """Both languages' stems of every word that is not a stop word: who asks does not say in which language."""
        found: list[str] = []
        for word in words(text):
            if word not in _STOP:
                accented = _ACCENT.sub(r"\1ión", word)
                stems = (self._stemmers[0].stemWord(accented), self._stemmers[1].stemWord(word))
                found.extend(dict.fromkeys(" ".join(words(stem)) for stem in stems))
        return " ".join(found)


def _passages(policy: Policy) -> Iterator[tuple[Passage, list[str]]]:
    """Every passage, with the names under which it shall be found beside its own words."""
    for key, protocol in policy.protocols.items():
        titles = [protocol.es, protocol.en]
        for section, text in enumerate((Text(code=key, es=protocol.es, en=protocol.en), *protocol.steps)):
            yield (
                Passage(
                    kind=PassageKind.PROTOCOL,
                    id=key,
                    version=protocol.reference.version,
                    section=section,
                    source=protocol.source,
                    es=text.es,
                    en=text.en,
                ),
                titles if section else [word for step in protocol.steps for word in (step.es, step.en)],
            )
    for rule in policy.rules:
        yield _rule(policy, rule)
    for stage, spec in policy.classes.items():
        passage = Passage(
            kind=PassageKind.DEFINITION,
            id=stage.value,
            version=policy.version,
            section=0,
            source=spec.definition.source,
            es=f"{spec.label.es}: {spec.definition.es}",
            en=f"{spec.label.en}: {spec.definition.en}",
        )
        yield passage, [stage.value]


def _rule(policy: Policy, rule: Rule) -> tuple[Passage, list[str]]:
    then = rule.then
    details = (*then.recommend, *then.warn, *then.contraindicate, *then.notify)
    passage = Passage(
        kind=PassageKind.RULE,
        id=rule.id,
        version=policy.version,
        section=0,
        source=rule.reason.source,
        es=rule.reason.es,
        en=rule.reason.en,
        details=details,
    )
    labels = [policy.classes[stage].label for stage in rule.when.classes]
    names = [text for detail in details for text in (detail.es, detail.en)]
    names += [text for label in labels for text in (label.es, label.en)]
    return passage, [*names, rule.id, *_drugs(policy, rule.when.factors)]


def _drugs(policy: Policy, factors: Iterable[str]) -> Iterator[str]:
    """Names of drugs that make the rule match: who looks for "Sintrom" means the rule on anticoagulants."""
    for factor in sorted(factors):
        for term in policy.factors[factor].terms:
            yield from (" ".join(drug) for drug in sorted(term.drugs))
