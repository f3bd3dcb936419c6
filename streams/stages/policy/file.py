"""Reads a clinical policy from disk: the packaged one, or a hospital's own, whole or as an overlay over it.

The pure part (what a policy may hold) is in streams/clinical/policy; here are only the file and its YAML.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from streams.clinical.policy import Policy, PolicyError, merge, read_policy

# libyaml parses ten times faster; wheels of PyYAML have it, a build from source may not.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

#: More than ten times the packaged policy: what is larger is the wrong file.
_LARGEST_FILE = 1_000_000


class _StrictLoader(_Base):  # type: ignore[misc]
    """YAML that refuses a key written twice: the standard loader silently keeps the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise PolicyError(f"line {key_node.start_mark.line + 1}: {key!r} is written twice")
            if isinstance(key, str):
                seen.add(key)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def load_policy(path: Path | None = None) -> Policy:
    """The packaged policy, or the one in `path`: a whole file, or an overlay (it has a `base` key).

    Raises PolicyError, one line that names the file and the path inside it.
    """
    if path is None:
        return packaged_policy()
    return parse_policy(_read(path), str(path))


@cache
def packaged_policy() -> Policy:
    """The policy that this distribution ships; read once per process."""
    return parse_policy(_packaged(), "packaged policy")


def parse_policy(text: str, name: str) -> Policy:
    """The policy in a YAML text; `name` says in errors where the text came from. Raises PolicyError."""
    try:
        content = _parse(text)
        if "base" in content:
            content = merge(_parse(_packaged()), content)
        return read_policy(content)
    except PolicyError as error:
        raise PolicyError(f"{name}: {error}") from None


def _packaged() -> str:
    return files("streams.clinical.policy").joinpath("default.yaml").read_text(encoding="utf-8")


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise PolicyError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise PolicyError(f"{path}: is not UTF-8 text") from None
    if len(text) > _LARGEST_FILE:
        raise PolicyError(f"{path}: is too large to be a policy")
    return text


def _parse(text: str) -> dict[str, Any]:
    try:
        content = yaml.load(text, _StrictLoader)  # noqa: S506 (a SafeLoader, made stricter)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f"line {mark.line + 1}: "
        raise PolicyError(f"{where}is not valid YAML ({getattr(error, 'problem', None) or 'unreadable'})") from None
    except RecursionError:
        raise PolicyError("is nested too deeply") from None
    if not isinstance(content, dict):
        raise PolicyError("a policy is a mapping")
    return content
