"""The workers in compose.kafka.yml, one service per declared stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streams.pipeline import STAGES, StageDeclaration

#: What a container of a stage may take, where `OWN` says nothing else.
LIMITS: Mapping[str, str] = {"mem_limit": "1g", "cpus": "1", "cpu_shares": "2048"}

#: Heat maps are written beside the pictures.
_PICTURES = 'volumes: ["images:/data/images"]'
#: By which a synthetic case is known to be the canary's.
_CANARY_KEY = (
    "environment:",
    "  <<: *environment",
    "  VIGIA_CANARY_KEY_FILE: /run/secrets/canary_key",
    "secrets: [canary_key]",
)
#: Stage → comment before its service, lines of its own, and limits other than the usual ones.
OWN: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], Mapping[str, str]]] = {
    "inference-emergency": (
        ("The emergency lane: its own process, and more of the processors when they are short.",),
        ("# Heat maps are written beside the pictures.", _PICTURES, *_CANARY_KEY),
        {"cpus": "2", "cpu_shares": "4096"},
    ),
    "inference-routine": ((), (_PICTURES, *_CANARY_KEY), {"cpus": "2", "cpu_shares": "256"}),
    "notification": (
        (
            "Started by `--profile notification`, once ops/compose/secrets/notify_targets holds the targets of each",
            "channel (docs/escalations.md). The only worker with a way out; what it sends holds no patient data.",
        ),
        (
            "networks: [pipeline, monitoring, outside]",
            "environment:",
            "  <<: *environment",
            "  VIGIA_NOTIFY_FILE: /run/secrets/notify_targets",
            "secrets: [notify_targets]",
        ),
        {"cpu_shares": "1024"},
    ),
}


def services(stages: Iterable[StageDeclaration] = STAGES) -> str:
    """The services of these stages, indented for `services:`; one that somebody must set up has a profile."""
    return "\n".join(_service(stage) for stage in stages)


def _service(stage: StageDeclaration) -> str:
    comment, lines, limits = OWN.get(stage.name, ((), (), {}))
    arguments = ", ".join(stage.arguments)
    text = [
        *(f"  # {line}" for line in comment),
        f"  {stage.name}:",
        "    <<: *worker",
        *([f"    profiles: [{stage.name}]"] if stage.needs is not None else []),
        f'    command: [{arguments}, --metrics-host, 0.0.0.0, --metrics-port, "9108"]',
        *(f"    {line}" for line in lines),
        *(f"    {name}: {value}" for name, value in {**LIMITS, **limits}.items()),
    ]
    return "\n".join(text) + "\n"
