"""Orders about model versions to a running system: part of `vigia model`."""

from __future__ import annotations

from pathlib import Path

import click

from inference import versions as registry
from ops.system.context import load_settings
from ops.terminal.plain import echo, echo_json
from schemas.events import ModelAction
from schemas.serde import Serde
from streams.serving.orders import order
from streams.serving.rollout import CANARY, SHADOW
from streams.serving.watcher import ModelWatcher
from streams.settings import Settings, SettingsError


def announce(action: ModelAction, version: str, *, share: float = 1.0, clears: str | None = None) -> bool:
    """Order it from the running system; False when none is running. Raises ClickException with one line."""
    try:
        settings = load_settings()
    except SettingsError:
        return False
    order(settings, action, version, share=share, clears=clears)
    return True


def _must_announce(action: ModelAction, version: str, *, share: float = 1.0, clears: str | None = None) -> None:
    if not announce(action, version, share=share, clears=clears):
        raise click.ClickException("no running system: start one with vigia up")


def _verified(version: str) -> str:
    """A version that the running workers can load too. Raises ClickException."""
    directory: Path | None = load_settings().model_dir
    return registry.verify(version, directory).version


@click.command()
@click.argument("version")
@click.option("--share", type=click.FloatRange(0.0, 1.0), default=0.1, show_default=True, help="Part of the cases.")
def canary(version: str, share: float) -> None:
    """Let VERSION judge a share of the cases, chosen by a stable hash of the case."""
    _must_announce(ModelAction.CANARY, _verified(version), share=share)
    echo(f"{version} judges {share:.0%} of the cases from the next batch on")


@click.command()
@click.argument("version")
def shadow(version: str) -> None:
    """Let VERSION judge every case beside the active one; only the active one counts."""
    _must_announce(ModelAction.SHADOW, _verified(version))
    echo(f"{version} runs in the shadow; vigia_shadow_findings_total counts where it disagrees")


@click.command()
@click.argument("role", type=click.Choice([CANARY, SHADOW]))
def clear(role: str) -> None:
    """End the canary or the shadow."""
    _must_announce(ModelAction.CLEAR, "none", clears=role)
    echo(f"no {role} from the next batch on")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For a script.")
def orders(as_json: bool) -> None:
    """Show what a running system was ordered to judge with."""
    settings: Settings = load_settings()
    with ModelWatcher(
        settings.bootstrap_servers, Serde(settings.schema_registry_url), settings.partitions, lambda _: None
    ) as watcher:
        standing = watcher.rollout.orders()
    if as_json:
        echo_json({role: {"version": each.version, "share": each.share} for role, each in standing})
        return
    for role, each in standing:
        echo(f"{role:7} {each.version}" + (f"  {each.share:.0%} of the cases" if role == CANARY else ""))
    if not any(role == "active" for role, _ in standing):
        echo("active  as the registry says (vigia model list): nothing else was ordered")
