"""So many bytes, and no more: a budget that is asked before memory is spent, in the order of asking."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Any


class Reservation:
    """Bytes that are spoken for until everybody who holds them has let go."""

    def __init__(self, budget: ByteBudget, amount: int) -> None:
        self._budget = budget
        self._amount = amount
        self._holders = 1
        self._loop = asyncio.get_running_loop()

    def hold_for(self, work: Future[Any]) -> None:
        """Keep the bytes until a thread is done, even if nobody waits for it any more."""
        self._holders += 1
        work.add_done_callback(self._let_go_soon)

    def let_go(self) -> None:
        """One holder less. Called in the event loop."""
        self._holders -= 1
        if self._holders == 0:
            self._budget.give_back(self._amount)

    def _let_go_soon(self, _: Future[Any]) -> None:
        # The loop may be closed when the last thread ends; then nobody asks any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.let_go)


class ByteBudget:
    """A weighted semaphore of one event loop. Who asks first is served first, so that nothing large starves."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def free(self) -> int:
        """Bytes that nobody holds."""
        return self._free

    @contextlib.asynccontextmanager
    async def reserved(self, amount: int) -> AsyncIterator[Reservation]:
        """Wait until so many bytes are free. Raises ValueError for more than there are in all."""
        if amount > self.total:
            raise ValueError(f"{amount} bytes are more than the budget of {self.total}")
        if self._waiting or amount > self._free:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((amount, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.give_back(amount)
                else:
                    # Unless whoever was served in the meantime has thrown it out.
                    with contextlib.suppress(ValueError):
                        self._waiting.remove((amount, turn))
                    self._serve()
                raise
        else:
            self._free -= amount
        reservation = Reservation(self, amount)
        try:
            yield reservation
        finally:
            reservation.let_go()

    def give_back(self, amount: int) -> None:
        """Bytes are free again; whoever waits at the front gets them."""
        self._free += amount
        self._serve()

    def _serve(self) -> None:
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= self._free):
            amount, turn = self._waiting.popleft()
            if not turn.done():
                self._free -= amount
                turn.set_result(None)
