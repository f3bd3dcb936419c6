"""Which groups are looked at when there are too many: anybody may invent groups, and each costs requests and series."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

#: Groups that the exporter serves. A pipeline has six; others on the same cluster that are asked for find room.
MOST_GROUPS = 100
#: Pairs of group and partition that it serves: 13 series each, some 3 MB and half a second per scrape in all.
MOST_PAIRS = 2_000

PairT = TypeVar("PairT", bound=tuple[str, str, int])


def selected(names: Iterable[str], expected: Collection[str], before: Collection[str], most: int | None) -> list[str]:
    """At most so many of the groups (None: all), sorted: those that must exist first, then those of the look before.

    So neither a group of the pipeline nor one that is served already gives way to a newcomer, whatever its name.
    """
    ranked = sorted(names, key=lambda name: (name not in expected, name not in before, name))
    return sorted(ranked if most is None else ranked[:most])


def limited(pairs: Iterable[PairT], expected: Collection[str], most: int | None) -> tuple[Sequence[PairT], int]:
    """At most so many pairs (group, topic, partition), those of groups that must exist first; how many are left out.

    A group is served whole or not at all where it can be: half a group's lag would look like little.
    """
    ordered = sorted(pairs, key=lambda pair: (pair[0] not in expected, pair))
    if most is None or len(ordered) <= most:
        return ordered, 0
    end = most
    if ordered[end][0] not in expected:
        while end and ordered[end - 1][0] == ordered[end][0]:
            end -= 1
    return ordered[:end], len(ordered) - end
