"""What is fuzzed, each in a process of its own, and how the inputs are shared out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from random import Random
from typing import Protocol


class Fuzzed(Protocol):
    """Takes one input after the other."""

    def run(self, rng: Random) -> str:
        """Draw an input from `rng` and let it be read: what became of it. Raises for what no documentation allows."""

    def close(self) -> None:
        """Let go of what is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one input may cost: seconds of processor, seconds by the wall clock, MiB of memory more than ever before."""

    #: Of a hundred thousand inputs each takes less than one hundredth of it.
    processor_s: float = 2.0
    #: The machine may be busy with other things.
    wall_s: float = 60.0
    memory_mib: int = 256


#: Module here → its share of the inputs, in per mille.
SHARES: Mapping[str, int] = {"records": 100, "batches": 50, "values": 350, "states": 50, "lines": 380, "pictures": 70}
LIMITS = Limits()


def target(name: str) -> Fuzzed:
    """The target of that name, ready."""
    made: Fuzzed = import_module(f"tests.fuzz.{name}").Target()
    return made


def random_of(name: str, seed: int, number: int) -> Random:
    """The source of one input: it does not depend on the inputs before."""
    return Random(f"{name}/{seed}/{number}")
