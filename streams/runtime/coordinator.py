"""aiokafka's group coordinator, which takes a coordinator's "not yet" for "nothing was ever committed".

Since version 2 an answer to OffsetFetch carries errors of the whole group (loading, moved elsewhere) in a field of
its own, with no offsets beside it. aiokafka 0.14 does not look at that field: right after a broker's death a partition
seems to have no committed offset, and is read again from its beginning. Found by `vigia chaos`.
"""

from __future__ import annotations

from typing import Any

from aiokafka import errors
from aiokafka.consumer import consumer as aiokafka_consumer
from aiokafka.consumer.group_coordinator import GroupCoordinator

_COORDINATOR_GONE = (errors.NotCoordinatorForGroupError, errors.GroupCoordinatorNotAvailableError)


class Coordinator(GroupCoordinator):  # type: ignore[misc]
    """Raises what the answer says of the group; aiokafka then asks again, as it does for errors of a partition."""

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
