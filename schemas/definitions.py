"""The `.avsc` files: one named type a file, referring to each other by full name; and what is made of them.

A registered schema is self-contained: the types it uses are written out where they are first used, so that a consumer
needs one request and no references.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

Schema = Any

AVSC = Path(__file__).parent / "avsc"


class DefinitionError(ValueError):
    """A schema file is missing, is not JSON, or is not named after the type it holds."""


def load(folder: Path = AVSC) -> dict[str, Schema]:
    """Full name → definition, of every `.avsc` file in `folder`. Raises DefinitionError naming the file."""
    found: dict[str, Schema] = {}
    for path in sorted(folder.glob("*.avsc")):
        try:
            definition = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DefinitionError(f"{path.name} is not JSON: {error}") from None
        if not isinstance(definition, dict) or definition.get("name") != path.stem:
            raise DefinitionError(f"{path.name} must hold the type named {path.stem}")
        found[f"{definition['namespace']}.{definition['name']}"] = definition
    if not found:
        raise DefinitionError(f"no .avsc file in {folder}")
    return found


def inline(full_name: str, definitions: Mapping[str, Schema]) -> Schema:
    """The self-contained schema of `full_name`. Raises DefinitionError for a type that has no file."""
    return _inline(full_name, definitions, set())


def _inline(node: Schema, definitions: Mapping[str, Schema], seen: set[str]) -> Schema:
    if isinstance(node, list):
        return [_inline(branch, definitions, seen) for branch in node]
    if isinstance(node, str):
        if "." not in node or node in seen:
            return node
        if node not in definitions:
            raise DefinitionError(f"{node} has no .avsc file")
        seen.add(node)
        return _inline(definitions[node], definitions, seen)
    inlined = dict(node)
    for key in ("items", "values"):
        if key in inlined:
            inlined[key] = _inline(inlined[key], definitions, seen)
    if "fields" in inlined:
        inlined["fields"] = [{**f, "type": _inline(f["type"], definitions, seen)} for f in inlined["fields"]]
    return inlined


@cache
def packaged() -> Mapping[str, Schema]:
    """The definitions of this version."""
    return load()


@cache
def text(full_name: str) -> str:
    """The self-contained schema of `full_name` in this version, as registered: JSON with its documentation."""
    return json.dumps(inline(full_name, packaged()), ensure_ascii=False, separators=(",", ":"))


def plain(schema: Schema) -> Schema:
    """The schema without documentation and logical types: what governs the bytes, and nothing else.

    Logical types do not change the encoding; the generated code (schemas/codegen.py) converts them, since it can name
    the field of a bad one.
    """
    return _map(schema, lambda node: {k: v for k, v in node.items() if k not in ("doc", "logicalType")})


def _map(node: Schema, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Schema:
    """`node` with `change` applied to every JSON object that is a schema or a field (defaults are left alone)."""
    if isinstance(node, list):
        return [_map(branch, change) for branch in node]
    if not isinstance(node, dict):
        return node
    changed = change(node)
    for key in ("type", "items", "values", "fields"):
        if key in changed:
            changed[key] = _map(changed[key], change)
    return changed
