"""The predecessor's design: Celery tasks chained over Redis, acknowledged late, with priorities.

Run as a process: `python -m celery -A ops.bench.rivals.celery_tasks worker …`; `VIGIA_BENCH_REDIS` names the server.
"""

from __future__ import annotations

import os
import struct
import time
from functools import cache
from typing import Any
from uuid import UUID

import redis
from celery import Celery, chain

from ops.bench.rivals import DONE, ESCALATIONS
from ops.bench.rivals.work import Work
from schemas.events import Lane
from streams.settings import Settings

#: In Celery over Redis, 0 is the highest priority.
PRIORITY = {Lane.EMERGENCY: 0, Lane.ROUTINE: 9}
#: Seconds after which Redis hands a task of a dead worker to another (Celery's default is an hour). If it is shorter
#: than the longest wait of a task inside a worker, tasks run twice.
VISIBILITY_TIMEOUT_S = 30

app = Celery("vigia-bench", broker=os.environ.get("VIGIA_BENCH_REDIS", ""))
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_inherit_parent_priority=True,
    task_default_priority=PRIORITY[Lane.ROUTINE],
    worker_prefetch_multiplier=1,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "priority_steps": list(range(10)),
        "queue_order_strategy": "priority",
        "visibility_timeout": VISIBILITY_TIMEOUT_S,
    },
)


@cache
def _work() -> Work:
    return Work(Settings.from_env(), 1)


@cache
def _redis() -> Any:
    return redis.Redis.from_url(os.environ["VIGIA_BENCH_REDIS"])


@app.task  # type: ignore[untyped-decorator]
def infer(value: bytes) -> bytes:
    """A case event to its inference event."""
    return _work().infer([value])[0].value


@app.task  # type: ignore[untyped-decorator]
def grade(value: bytes) -> bytes:
    """An inference event to its grading event."""
    return _work().grade([value])[0].value


@app.task  # type: ignore[untyped-decorator]
def escalate(value: bytes, case_id: str) -> None:
    """A grading event to its escalations, and an entry on the list of finished cases."""
    pipeline = _redis().pipeline()
    for _, escalation in _work().escalate([value])[0]:
        pipeline.rpush(ESCALATIONS, escalation)
    pipeline.rpush(DONE, UUID(case_id).bytes + struct.pack(">d", time.time()))
    pipeline.execute()


def publish(value: bytes, case_id: UUID, lane: Lane) -> None:
    """Hand a case event (its encoded `value`) to the workers."""
    chain(infer.s(value), grade.s(), escalate.s(str(case_id))).apply_async(priority=PRIORITY[lane])
