"""The command line: one program, `vigia`, and one verb for each thing a person does.

Commands are imported when they are called, so that `vigia grade` does not wait for TensorFlow and `vigia --help` is
instant.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import click

from ops.terminal.plain import plain
from schemas.errors import OneLineError

#: verb → (module:attribute, one line of help shown by `vigia --help`).
COMMANDS: Mapping[str, tuple[str, str]] = {
    # one line per verb, in the order in which a newcomer meets them
    "demo": ("ops.commands.demo:command", "The main job on real services, shown and checked to the last input"),
    "up": ("ops.commands.up:up", "Start broker, registry and all stages, and keep them running"),
    "worker": ("ops.commands.worker:worker", "Run one worker of a stage"),
    "publish": ("ops.commands.publish:command", "Put a wound picture, or a folder of them, into the pipeline"),
    "consume": ("ops.commands.consume:command", "Look at the events of a topic, or follow it as a consumer group"),
    "watch": ("ops.commands.watch:command", "Who waits, where and how long; escalations with their countdown"),
    "lag": ("ops.commands.lag:command", "How far every consumer group is behind, in readable records and in seconds"),
    "lag-exporter": ("ops.commands.lag_exporter:command", "Serve lag and clinical waiting times to Prometheus"),
    "canary": ("ops.commands.canary:command", "A synthetic case through the whole pipeline, again and again"),
    "case": ("ops.commands.case:case", "The story of one case: picture, finding, decision, escalations, answers"),
    "reviews": ("ops.commands.reviews:command", "Open escalations: pending, overdue, oldest, by role; model agreement"),
    "ack": ("ops.commands.ack:command", "Take up an escalation, or resolve it with your own staging"),
    "notify": ("ops.commands.notify:command", "Deliver escalations to Slack, e-mail, webhooks; no patient data"),
    "audit": ("ops.commands.audit:audit", "Verify the chain of decisions, show a case's, erase a case from it"),
    "dead-letters": (
        "ops.commands.dead_letters:dead_letters",
        "What no stage could process: list, look at one, send again",
    ),
    "skip": ("ops.commands.skip:command", "Lay aside the record at which a consumer group stands still"),
    "grade": (
        "ops.commands.grade:grade",
        "A finding and context as JSON in, the decision as JSON out; no broker needed",
    ),
    "policy": ("ops.commands.policy:policy", "Check a clinical policy file, or show what a policy says"),
    "protocols": ("ops.commands.protocols:protocols", "Search protocols and rules, read a protocol; no broker needed"),
    "model": ("ops.commands.model.commands:model", "Train, evaluate and choose the image model's versions"),
    "images": ("ops.commands.images:images", "Generate wound pictures with known answers"),
    "chaos": (
        "ops.commands.chaos:command",
        "Break a whole system while cases flow, then check every record",
    ),
    "bench": ("ops.commands.bench:command", "Throughput beside the bare model loop, latency of emergencies"),
    "topics": ("ops.commands.topics:topics_group", "Create the topics and register their schemas, or check both"),
    "access": ("ops.commands.access:access", "Rights on the brokers: planned, written, checked, shown"),
    "schemas": ("ops.commands.schemas:schemas_group", "The contract: check, list, register, release, describe"),
}


class LazyGroup(click.Group):
    """A click group that imports a command's module only when that command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error that is one line for people becomes that line."""
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            error.message = plain(error.message)
            raise
        except Exception as error:
            if not is_one_line(error):
                raise
            raise click.ClickException(plain(error)) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs with the table's own texts, so that help imports nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, text) for verb, (_, text) in COMMANDS.items()])


def is_one_line(error: Exception) -> bool:
    """Whether the error's text is one line that says what is wrong and what to do.

    The image model and the embedded services know nothing of ours, so they have families of their own.
    """
    foreign = (("inference.errors", "InferenceError"), ("ops.embedded.errors", "EmbeddedError"))
    families = [getattr(sys.modules[module], name) for module, name in foreign if module in sys.modules]
    return isinstance(error, (OneLineError, *families))


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vigia-streams")
def cli() -> None:
    """Vigía Streams: from a wound picture to the right people, in time.

    Decision support for clinicians, not a diagnosis.
    """


def main() -> None:
    """Run the command line; an error a person can act on is one line on stderr, exit 1 (usage and bad input: 2)."""
    try:
        cli(prog_name="vigia")
    except BrokenPipeError:
        sys.exit(0)


if __name__ == "__main__":
    main()
