"""Faust as its documentation shows it: agents that send, at least once. One process per stage.

Run as a process: `python -m ops.bench.rivals.stock_faust inference|grading|escalation`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import faust
from yarl import URL

from ops.bench.rivals import FLOW
from ops.bench.rivals.plain import transform
from ops.bench.rivals.work import Work
from streams.runtime.app import SESSION_TIMEOUT_S
from streams.settings import Settings
from streams.stages.inference.stage import MAX_BATCH, WITHIN_S


def build(stage: str, settings: Settings) -> faust.App:
    """The app of one stage, with Faust's defaults but for what a worker on loopback needs."""
    source, target = FLOW[stage]
    batch = max(MAX_BATCH.values())
    work = Work(settings, batch)
    if stage == "inference":
        assert work.predictor
    step = transform(work, stage)
    app = faust.App(
        f"bench-faust-{quote(stage)}",
        broker=[URL(f"kafka://{server}") for server in settings.bootstrap_servers.split(",")],
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        store="memory://",
        broker_session_timeout=SESSION_TIMEOUT_S,
        broker_heartbeat_interval=2.0,
        consumer_auto_offset_reset="earliest",
    )
    raw: dict[str, Any] = {
        "key_type": bytes,
        "value_type": bytes,
        "key_serializer": "raw",
        "value_serializer": "raw",
    }
    out = app.topic(target, **raw)

    @app.agent(app.topic(source, **raw), name=stage)  # type: ignore[untyped-decorator]
    async def work_on(stream: Any) -> None:
        batches: AsyncIterator[list[bytes]] = stream.take(batch, within=max(WITHIN_S.values()))
        async for values in batches:
            for key, value in await asyncio.to_thread(step, values):
                await out.send(key=key, value=value)

    return app


if __name__ == "__main__":
    faust.Worker(build(sys.argv[1], Settings.from_env()), loglevel="warning").execute_from_commandline()
