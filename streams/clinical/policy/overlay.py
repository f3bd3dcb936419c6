"""Lays a hospital's own file over the packaged policy, so that it holds only what the hospital changes.

Mappings are merged key by key, and lists of entries with an `id` entry by entry (new entries go to the end); any other
value replaces the packaged one. Nothing can be removed. `base` names the version that was changed, so that a new
packaged version is read by a person before it runs under old changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streams.clinical.policy.fields import Section, fail


def merge(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """The complete content of `overlay` (which has a `base` key) over `base`. Raises PolicyError; changes neither."""
    top = Section(overlay, "")
    wanted = top.section("base")
    name, version = wanted.text("id"), wanted.text("version")
    wanted.done()
    if (name, version) != (base["id"], base["version"]):
        fail(
            "base",
            f"is {name} {version}, but this installation ships {base['id']} {base['version']}: "
            "read what changed there, then name it here",
        )
    if top.text("id") == base["id"]:
        fail("id", f"must differ from {base['id']}: a changed policy has a name and versions of its own")
    top.text("version")
    return _mapping(base, {key: value for key, value in overlay.items() if key != "base"})


def _mapping(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in overlay.items():
        merged[key] = _value(merged[key], value) if key in merged else value
    return merged


def _value(base: object, overlay: object) -> object:
    if isinstance(base, Mapping) and isinstance(overlay, Mapping):
        return _mapping(base, overlay)
    if _entries(base) and _entries(overlay):
        assert isinstance(base, list)
        assert isinstance(overlay, list)
        merged = {entry["id"]: entry for entry in base}
        for entry in overlay:
            merged[entry["id"]] = _value(merged[entry["id"]], entry) if entry["id"] in merged else entry
        return list(merged.values())
    return overlay


def _entries(value: object) -> bool:
    """Whether this is a list of mappings with an id."""
    return isinstance(value, list) and all(
        isinstance(entry, Mapping) and isinstance(entry.get("id"), str) for entry in value
    )
