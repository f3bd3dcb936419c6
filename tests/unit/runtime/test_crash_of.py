"""A crash anywhere below the app ends the worker, also where the app was never told of it."""

from __future__ import annotations

import asyncio

import pytest
from mode import Service

from streams.runtime.worker import crash_of


class Part(Service):  # type: ignore[misc]
    """A service of Faust's library."""


class Untellable(Part):
    """As its event was in a campaign: another thread took a waiter out of it meanwhile."""

    def _crash(self, reason: BaseException) -> None:
        raise RuntimeError("deque mutated during iteration")


@pytest.mark.parametrize("between", [Part, Untellable])
def test_a_crash_is_seen_whoever_could_not_be_told_of_it(between: type[Part]) -> None:
    """At 1affe01 an escalation worker lived on for three minutes without its transactions, and raised nothing."""

    async def work() -> None:
        app = Part()
        consumer = app.add_dependency(between(beacon=app.beacon))
        transactions = consumer.add_dependency(Part(beacon=consumer.beacon))
        assert crash_of(app) is None
        error = ValueError("fenced, and no rebalance followed")
        try:
            await transactions.crash(error)
        except RuntimeError:
            assert not app.crashed, "mode has told the app: this can go"
        assert crash_of(app) is error

    asyncio.run(work())
