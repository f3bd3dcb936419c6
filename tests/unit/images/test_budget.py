"""The budget is never exceeded, nobody starves, and nothing is lost of it."""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import Future

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.images.budget import ByteBudget


@settings(max_examples=100, deadline=None)
@given(
    amounts=st.lists(st.integers(0, 10), max_size=30), cancelled=st.sets(st.integers(0, 29)), seed=st.integers(0, 99)
)
def test_no_more_is_held_than_there_is_and_all_of_it_comes_back(
    amounts: list[int], cancelled: set[int], seed: int
) -> None:
    rng, held, most = random.Random(seed), 0, 0

    async def one(budget: ByteBudget, amount: int) -> None:
        nonlocal held, most
        async with budget.reserved(amount):
            held += amount
            most = max(most, held)
            try:
                for _ in range(rng.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                held -= amount

    async def work() -> int:
        budget = ByteBudget(10)
        tasks = [asyncio.ensure_future(one(budget, amount)) for amount in amounts]
        await asyncio.sleep(0)
        for at in cancelled & set(range(len(tasks))):
            tasks[at].cancel()
            await asyncio.sleep(0)
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(each is None or isinstance(each, asyncio.CancelledError) for each in done)
        return budget.free

    assert asyncio.run(work()) == 10
    assert held == 0
    assert most <= 10


def test_the_first_to_ask_is_the_first_to_get() -> None:
    async def work() -> list[str]:
        budget, order = ByteBudget(10), []

        async def take(name: str, amount: int) -> None:
            async with budget.reserved(amount):
                order.append(name)
                await asyncio.sleep(0)

        await asyncio.gather(take("first", 6), take("large", 10), take("small", 1))
        return order

    assert asyncio.run(work()) == ["first", "large", "small"]


def test_a_thread_that_nobody_waits_for_keeps_its_bytes() -> None:
    async def work() -> None:
        budget, thread = ByteBudget(10), Future[None]()
        async with budget.reserved(7) as held:
            held.hold_for(thread)
        assert budget.free == 3
        thread.set_result(None)
        await asyncio.sleep(0)
        assert budget.free == 10

    asyncio.run(work())


def test_more_than_there_is_cannot_be_asked_for() -> None:
    async def work() -> None:
        async with ByteBudget(10).reserved(11):
            pass

    with pytest.raises(ValueError, match="more than the budget"):
        asyncio.run(work())
