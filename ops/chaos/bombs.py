"""Pictures that cost a worker more than any other, and whether anything can be said of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.findings import Finding, ImageProblem
from ops.bench.worst_pictures import KINDS, references
from schemas.events import ImageReference

#: Cases of one burst, each with another picture: more than a worker decodes side by side, or keeps in memory.
BURST = 6
#: What may become of any of them on a busy machine, or where its decoder is killed: people are asked.
TOO_DEAR = frozenset({"decoder_timeout", "decoder_failed", "store_unavailable"})


@dataclass(frozen=True, slots=True)
class Bomb:
    """A picture that is dear to fetch and decode. `reason`: why it must be refused; None where a model may see it."""

    kind: str
    reference: ImageReference
    reason: str | None

    @property
    def refused(self) -> frozenset[str]:
        """Reason codes of which the dead letter must name one; empty where there need not be one."""
        return frozenset() if self.reason is None else TOO_DEAR | {self.reason}


def make(
    folder: Path, judge: Callable[[Sequence[bytes]], Sequence[Finding | ImageProblem]]
) -> tuple[list[Bomb], dict[str, Finding]]:
    """Write one picture of each kind to `folder`, a root of the store, past the client.

    Also what the model says of those that it may see, by SHA-256 (hex). One at a time: together they would take what a
    worker must not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bombs, said = [], {}
    for kind in KINDS:
        (reference,) = references(folder, kind, 1)
        (answer,) = judge([Path(reference.uri.removeprefix("file://")).read_bytes()])
        if isinstance(answer, ImageProblem):
            bombs.append(Bomb(kind, reference, answer.code.value))
        else:
            bombs.append(Bomb(kind, reference, None))
            said[reference.sha256] = answer
    return bombs, said


def burst(bombs: Sequence[Bomb], draw: float) -> list[Bomb]:
    """Some of them, by `draw` (0–1), in the order in which they are sent."""
    return random.Random(draw).sample(list(bombs), min(BURST, len(bombs)))  # noqa: S311 - repeatable on purpose
