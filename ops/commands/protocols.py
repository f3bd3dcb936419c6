"""`vigia protocols`: the reference protocols and every rule, searched and read; no broker needed."""

from __future__ import annotations

from pathlib import Path

import click

from ops.protocols.search import Passage, PolicySearch
from ops.terminal.plain import echo, echo_json
from schemas.errors import OneLineError
from streams.clinical.policy import Policy
from streams.stages.policy.file import load_policy

_LANG = click.option("--lang", type=click.Choice(["es", "en"]), default="es", show_default=True)
_POLICY = click.option(
    "--policy",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="VIGIA_POLICY_FILE",
    help="A hospital's own policy file.  [default: the packaged one]",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="For a script; both languages.")


@click.group(short_help="Search the protocols, rules and definitions of the policy; read a protocol.")
def protocols() -> None:
    """What the policy says, word for word, with its source. Decision support: judgement is yours."""


@protocols.command()
@click.argument("question", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, 100), default=5, show_default=True, help="Passages at most.")
@_LANG
@_POLICY
@_JSON
def search(question: tuple[str, ...], limit: int, lang: str, file: Path | None, as_json: bool) -> None:
    """Find the passages that answer QUESTION best, in Spanish or English, with or without accents.

    Each is followed by its citation: protocol, rule or class, version, step, and the source on which it rests.
    """
    policy = load_policy(file)
    found = PolicySearch(policy).find(" ".join(question), limit)
    if as_json:
        echo_json([_described(passage) for passage in found], indent=2)
        return
    for passage in found:
        echo(getattr(passage, lang))
        for detail in passage.details:
            echo(f"  – {getattr(detail, lang)}")
        echo(f"  [{passage.kind.value} {passage.citation}]")
    if not found:
        echo("Ningún pasaje contiene esas palabras." if lang == "es" else "No passage holds any of these words.")
    echo(getattr(policy.disclaimer, lang))


@protocols.command()
@click.argument("protocol", required=False)
@_LANG
@_POLICY
def show(protocol: str | None, lang: str, file: Path | None) -> None:
    """Print PROTOCOL step by step; without one, all of them."""
    policy = load_policy(file)
    for key in _chosen(policy, protocol):
        shown = policy.protocols[key]
        echo(f"{getattr(shown, lang)}  [{key} {shown.reference.version} ({shown.source})]")
        for number, step in enumerate(shown.steps, start=1):
            echo(f"  {number}. {getattr(step, lang)}")
    echo(getattr(policy.disclaimer, lang))


def _chosen(policy: Policy, protocol: str | None) -> list[str]:
    if protocol is None:
        return list(policy.protocols)
    if protocol not in policy.protocols:
        raise UnknownProtocolError(f"{protocol!r} is no protocol of this policy (known: {', '.join(policy.protocols)})")
    return [protocol]


def _described(passage: Passage) -> dict[str, object]:
    return {
        "kind": passage.kind.value,
        "id": passage.id,
        "version": passage.version,
        "section": passage.section,
        "source": passage.source,
        "es": passage.es,
        "en": passage.en,
        "details": [{"code": detail.code, "es": detail.es, "en": detail.en} for detail in passage.details],
    }


class UnknownProtocolError(OneLineError):
    """A protocol was asked for that the policy does not have."""
