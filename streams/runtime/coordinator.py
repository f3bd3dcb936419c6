"""aiokafka's group coordinator, with two things mended that `vigia chaos` found.

It takes a coordinator's "not yet" for "nothing was ever committed". Since version 2 an answer to OffsetFetch carries
errors of the whole group (loading, moved elsewhere) in a field of its own, with no offsets beside it. aiokafka 0.14
does not look at that field: right after a broker's death a partition seems to have no committed offset, and is read
again from its beginning.

And it sends no heartbeat while partitions are being taken over. Reading the state of tens of thousands of open
escalations takes longer than the session timeout: the worker was taken for dead in the middle of it, its partitions
went to the other one, which was fenced, crashed, came back and did the same to the first, for ever.
"""

from __future__ import annotations

from typing import Any

from aiokafka import errors
from aiokafka.consumer import consumer as aiokafka_consumer
from aiokafka.consumer.group_coordinator import GroupCoordinator

_COORDINATOR_GONE = (errors.NotCoordinatorForGroupError, errors.GroupCoordinatorNotAvailableError)


class Coordinator(GroupCoordinator):  # type: ignore[misc]
    """Raises what an answer says of the group (aiokafka then asks again), and lives while it takes partitions over."""

    async def _on_join_complete(self, *joined: Any) -> None:
        # aiokafka starts the task after this returns; where it runs already, it is left as it is.
        self._start_heartbeat_task()
        await super()._on_join_complete(*joined)

    async def _send_req(self, request: Any) -> Any:
        response = await super()._send_req(request)
        if type(response).__name__.startswith("OffsetFetchResponse"):
            self._refuse_group_error(getattr(response, "error_code", 0))
        return response

    def _refuse_group_error(self, code: int) -> None:
        error = errors.for_code(code)
        if error is errors.NoError:
            return
        if error in _COORDINATOR_GONE:
            self.coordinator_dead()
        raise error("the group's offsets cannot be told yet")


def install() -> None:
    """Let every consumer of this process use it; aiokafka has no setting for its coordinator's class."""
    aiokafka_consumer.GroupCoordinator = Coordinator
