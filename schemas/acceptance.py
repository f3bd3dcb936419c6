"""Which writers' schemas are read at all: versions of our records, compatible both ways, and bounded.

Anybody may register a schema. One that names itself `vigia.v1.CaseEvent` is not ours for that: it must be one of those
that this version carries, or be readable by ours and able to read ours (FULL), and no record of it may cost more than
its bytes pay for (`schemas.bounds`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import fastavro
from fastavro.schema import to_parsing_canonical_form

from schemas import bounds, definitions
from schemas.compatibility import RELEASED, problems
from schemas.errors import UndecodableError
from schemas.record import RECORDS

#: Ids from here on are no registry's: they stand for a schema that every process of this version carries, and are
#: written where the registry has lost its subjects (see `schemas.serde`). Registries count from 1.
CARRIED_FROM = 0xF000_0000

_SHOWN = re.compile(r"[A-Za-z0-9_.]{1,100}")


@dataclass(frozen=True, slots=True)
class Writer:
    """A schema that records may be read with. `same`: its bytes are laid out as those of our own current schema.

    `carried`: it is, to the letter, a version that this one carries, so that it does not matter who registered it.
    """

    name: str
    written: Any
    same: bool
    carried: bool


def accept(text: str) -> Writer:
    """The writer's schema in `text`, as a registry gives it. Raises UndecodableError saying why it is refused."""
    if len(text) > bounds.MOST_SCHEMA_CHARACTERS:
        raise UndecodableError(
            f"the schema has {len(text)} characters; at most {bounds.MOST_SCHEMA_CHARACTERS} are read"
        )
    written, name = parse(text)
    if name not in RECORDS:
        shown = name if _SHOWN.fullmatch(name) else "a foreign name"
        raise UndecodableError(f"a schema of {shown} is none of the contract's")
    fingerprint = _fingerprint(written)
    if fingerprint in carried(name):
        return Writer(name, written, fingerprint == _fingerprint(own(name)), True)
    try:
        _check(name, written, text)
    except UndecodableError:
        raise
    except Exception as error:  # whatever a foreign schema leads these checks to
        raise UndecodableError(f"the schema of {name} cannot be compared with ours ({type(error).__name__})") from None
    return Writer(name, written, False, False)


def _check(name: str, written: Any, text: str) -> None:
    """Raises UndecodableError for a schema that costs too much, or that ours and theirs cannot both read."""
    bounds.check_schema(written)
    # With its logical types, which do not change the bytes but what they mean.
    theirs = _definitions(text)
    ours = definitions.packaged()
    for shared in theirs.keys() & ours.keys():
        found = problems(ours[shared], theirs[shared]) or problems(theirs[shared], ours[shared])
        if found:
            raise UndecodableError(f"the schema of {name} is not compatible with ours: {found[0].rule} in {shared}")


def parse(text: str) -> tuple[Any, str]:
    """A schema as fastavro reads with it, and the full name of its record. Raises UndecodableError for what is none."""
    try:
        parsed = fastavro.parse_schema(definitions.plain(json.loads(text)))
        if parsed["type"] != "record":
            raise UndecodableError("the registered schema is not one of a record")
        return parsed, str(parsed["name"])
    except UndecodableError:
        raise
    except Exception as error:  # parse_schema raises KeyError and TypeError too for what is no schema.
        raise UndecodableError(f"the registered schema cannot be used ({type(error).__name__})") from None


@cache
def own(name: str) -> Any:
    """Our own current schema of a record, as fastavro reads with it."""
    return fastavro.parse_schema(definitions.plain(definitions.inline(name, definitions.packaged())))


@cache
def carried(name: str) -> Mapping[str, str]:
    """Fingerprint → schema (JSON) of the record's versions that this one carries: its own, and the released ones."""
    texts = [definitions.text(name)]
    for folder in sorted(RELEASED.iterdir()):
        released = definitions.load(folder)
        if name in released:
            texts.append(json.dumps(definitions.inline(name, released), ensure_ascii=False))
    return {_fingerprint(parse(text)[0]): text for text in reversed(texts)}


def carried_id(name: str) -> int:
    """The id that stands for our own current schema of a record where no registry has one."""
    return _id_of(_fingerprint(own(name)))


def is_own(name: str, text: str) -> bool:
    """Whether a schema is, to the letter, our own current one of this record."""
    try:
        written, found = parse(text)
    except UndecodableError:
        return False
    return found == name and _fingerprint(written) == _fingerprint(own(name))


def carried_ids() -> Mapping[int, str]:
    """Id → schema (JSON) of all versions of all records that this version carries."""
    # Records are known once their class is declared.
    return _carried_ids(tuple(RECORDS))


@cache
def _carried_ids(names: tuple[str, ...]) -> Mapping[int, str]:
    return {_id_of(fingerprint): text for name in names for fingerprint, text in carried(name).items()}


def _id_of(fingerprint: str) -> int:
    return CARRIED_FROM | int(fingerprint[:7], 16)


def _fingerprint(parsed: Any) -> str:
    # Canonical forms are compared, since a registry may give a schema back in another spelling than it was registered.
    # A name may hold half of a surrogate pair, which has no bytes: such a schema is none of ours, whatever its hash.
    return hashlib.sha256(to_parsing_canonical_form(parsed).encode(errors="backslashreplace")).hexdigest()


def _definitions(text: str) -> dict[str, Any]:
    """Full name → definition of every named type in a schema; they refer to each other by name, as our files do."""
    found: dict[str, Any] = {}
    try:
        _take_apart(fastavro.parse_schema(json.loads(text)), found)
    except Exception as error:
        raise UndecodableError(f"the registered schema cannot be used ({type(error).__name__})") from None
    return found


def _take_apart(node: Any, found: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_take_apart(branch, found) for branch in node]
    if not isinstance(node, dict):
        return node
    taken = dict(node)
    for key in ("items", "values"):
        if key in taken:
            taken[key] = _take_apart(taken[key], found)
    if "fields" in taken:
        taken["fields"] = [{**field, "type": _take_apart(field["type"], found)} for field in taken["fields"]]
    if "name" in taken:
        found[taken["name"]] = taken
        return taken["name"]
    if not isinstance(taken["type"], str):
        return _take_apart(taken["type"], found)
    return taken
