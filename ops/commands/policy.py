"""`vigia policy`: check a hospital's policy file before a worker meets it, and read what a policy says."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from ops.terminal.console import plain_console
from ops.terminal.plain import echo, echo_block, echo_json
from streams.clinical.policy import Policy
from streams.clinical.policy.values import Rule
from streams.stages.policy.file import load_policy

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(short_help="Check a clinical policy file, or show what a policy says.")
def policy() -> None:
    """The clinical rules: one versioned file of data (docs/clinical.md)."""


@policy.command()
@click.argument("file", type=_FILE)
def check(file: Path) -> None:
    """Say in one line whether workers would accept FILE (a whole policy, or an overlay with a `base` key)."""
    checked = _load(file)
    echo(f"{file}: good: {checked.id} {checked.version}, {len(checked.rules)} rules, sha256 {checked.hash}")


@policy.command()
@click.argument("file", type=_FILE, required=False, envvar="VIGIA_POLICY_FILE")
@click.option("--json", "as_json", is_flag=True, help="The rules and everything they refer to, for a script.")
@click.option("--markdown", is_flag=True, help="The rules as the table that stands in docs/clinical.md.")
@click.option("--lang", type=click.Choice(["es", "en"]), default="es", show_default=True)
def show(file: Path | None, as_json: bool, markdown: bool, lang: str) -> None:
    """Print the policy in FILE (or VIGIA_POLICY_FILE, or else the packaged one) as tables."""
    loaded = _load(file)
    if as_json:
        echo_json(describe(loaded), indent=2)
    elif markdown:
        echo_block(markdown_rules(loaded))
    else:
        _print(loaded, lang)


def _load(file: Path | None) -> Policy:
    return load_policy(file)


def describe(loaded: Policy) -> dict[str, object]:
    """The policy in plain JSON values, deadlines in seconds."""
    return {
        "id": loaded.id,
        "version": loaded.version,
        "hash": loaded.hash,
        "disclaimer": {"es": loaded.disclaimer.es, "en": loaded.disclaimer.en},
        "severities": {key.value: {"es": text.es, "en": text.en} for key, text in loaded.severities.items()},
        "classes": {
            key.value: {
                "es": spec.label.es,
                "en": spec.label.en,
                "definition": {"es": spec.definition.es, "en": spec.definition.en, "source": spec.definition.source},
            }
            for key, spec in loaded.classes.items()
        },
        "rules": [_rule(loaded, rule) for rule in loaded.rules],
        "escalations": {
            key.value: {"roles": spec.roles, "channels": spec.channels, "ladder": spec.ladder}
            for key, spec in loaded.escalations.items()
        },
        "review_priorities": [
            {
                "id": spec.id.value,
                "first_response_s": spec.first_response_s,
                "reescalate_every_s": spec.reescalate_every_s,
                "resolve_within_s": spec.resolve_within_s,
            }
            for spec in loaded.priorities
        ],
        "protocols": {
            key: {
                "version": protocol.reference.version,
                "source": protocol.source,
                "es": protocol.es,
                "en": protocol.en,
                "steps": [{"es": step.es, "en": step.en} for step in protocol.steps],
            }
            for key, protocol in loaded.protocols.items()
        },
    }


def _rule(loaded: Policy, rule: Rule) -> dict[str, object]:
    when, then = rule.when, rule.then
    conditions: dict[str, object] = {
        "class": [stage.value for stage in loaded.classes if stage in when.classes],
        "confidence_from": when.confidence_from,
        "confidence_below": when.confidence_below,
        "factors": sorted(when.factors),
        "problem": sorted(when.problems),
        "ambiguous": when.ambiguous,
        "contraindications_at_least": when.contraindications_at_least,
    }
    effects: dict[str, object] = {
        "severity": then.severity,
        "escalate": [kind.value for kind in then.escalate],
        "respond_within_s": then.respond_within_s,
        "case_within_s": then.case_within_s,
        "follow_up_s": then.follow_up_s,
        "recommend": [text.code for text in then.recommend],
        "warn": [text.code for text in then.warn],
        "contraindicate": [text.code for text in then.contraindicate],
        "notify": [text.code for text in then.notify],
        "protocols": [protocol.id for protocol in then.protocols],
    }
    return {
        "id": rule.id,
        "source": rule.reason.source,
        "es": rule.reason.es,
        "en": rule.reason.en,
        "when": {key: value for key, value in conditions.items() if value},
        "then": {key: value for key, value in effects.items() if value},
    }


def markdown_rules(loaded: Policy) -> str:
    """The rules as a Markdown table, one per line, in the order in which they apply."""
    rows = ["| rule | when | then | source |", "|---|---|---|---|"]
    for rule in loaded.rules:
        entry = _rule(loaded, rule)
        when, then = "; ".join(_lines(entry["when"])) or "always", "; ".join(_lines(entry["then"]))
        rows.append(f"| `{rule.id}` | {when} | {then} | {rule.reason.source} |")
    return "\n".join(rows)


def _print(loaded: Policy, lang: str) -> None:
    console = plain_console()
    title = Text.assemble((f"{loaded.id} {loaded.version}", "bold"), f"  sha256 {loaded.hash}")
    console.print(title, soft_wrap=True)
    console.print(getattr(loaded.disclaimer, lang), style="italic")
    rules = Table("rule", "when", "then", "source", title="Rules (all that match apply)", title_justify="left")
    for rule in loaded.rules:
        entry = _rule(loaded, rule)
        rules.add_row(
            Text.assemble(rule.id, "\n", (getattr(rule.reason, lang), "dim")),
            "\n".join(_lines(entry["when"])) or "always",
            "\n".join(_lines(entry["then"])),
            rule.reason.source,
        )
    console.print(rules)
    asked = Table("escalation", "roles", "channels", "ladder", title="Escalations", title_justify="left")
    for kind, spec in loaded.escalations.items():
        asked.add_row(kind.value, ", ".join(spec.roles), ", ".join(spec.channels), " → ".join(spec.ladder))
    console.print(asked)
    headings = ("priority", "first response", "re-escalate every", "resolve within")
    priorities = Table(*headings, title="Reviews", title_justify="left")
    for priority in loaded.priorities:
        priorities.add_row(
            priority.id.value,
            _duration(priority.first_response_s),
            _duration(priority.reescalate_every_s),
            _duration(priority.resolve_within_s),
        )
    console.print(priorities)


def _lines(values: object) -> list[str]:
    """Conditions or effects, one per line, deadlines as a person writes them."""
    assert isinstance(values, dict)
    lines = []
    for key, value in values.items():
        if key.endswith("_s"):
            lines.append(f"{key.removesuffix('_s')} {_duration(value)}")
        else:
            lines.append(f"{key} {', '.join(value) if isinstance(value, list) else value}")
    return lines


def _duration(seconds: int) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
