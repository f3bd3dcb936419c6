"""One worker process from start to end: wait for what it needs, run, stop gracefully on SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn

from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from mode import Service

from schemas.errors import OneLineError
from streams.broker.admission import ask
from streams.broker.broker_version import metadata_levels, warnings
from streams.broker.clients import admin_client
from streams.broker.errors import NotAllowedError
from streams.broker.words import crash_in_words, no_such_topic
from streams.runtime.app import StageApp, watch_lateness
from streams.runtime.state import written_partition_counts
from streams.topics import AUDIT

logger = logging.getLogger(__name__)

#: A graceful stop finishes the batch in hand and commits it; longer than the slowest batch, shorter than the ten
#: seconds after which Docker loses patience and kills.
STOP_WITHIN_S = 8.0

#: For the brokers to say what they are; a start does not wait longer for what only warns.
VERSIONS_WITHIN_S = 5.0


#: What a supervisor sees of a worker that could not go on: it starts another (EX_TEMPFAIL of sysexits.h).
EXIT_CRASHED = 75


class WorkerError(OneLineError):
    """The worker cannot start or go on; the message is one line that says what to do."""


def serve(app: StageApp) -> int:
    """Run the app in this process until it is told to stop or cannot go on; the exit code for `leave`."""
    if sys.platform == "linux":
        import uvloop

        # Faust's consumer thread makes its own loop, so the policy is set, not only this loop.
        uvloop.install()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        # Not asyncio.run: after a crash it would wait for the tasks of what has crashed.
        loop.run_until_complete(run(app))
    except OneLineError as error:
        logger.error("%s", error)
        return EXIT_CRASHED
    except BaseException as error:
        logger.error("%s ended by %s", app.stage.name, type(error).__name__)
        return EXIT_CRASHED
    logger.info("%s: stopped", app.stage.name)
    return 0


def leave(code: int) -> NoReturn:
    """End this process now.

    After the last commit there is nothing left to lose. A library's thread that waits for a broker which is gone would
    keep the process, and with it a supervisor, from ending.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def run(app: StageApp, *, on_ready: Callable[[], Awaitable[None]] | None = None) -> None:
    """Run the app until SIGTERM or SIGINT. Raises WorkerError when it crashes: a supervisor starts another."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    if app.breaker.tries:
        app.lookout.start()
    beating = asyncio.ensure_future(app.pulse.beating())
    try:
        await _run(app, stop, on_ready)
    finally:
        beating.cancel()
        app.lookout.close()


async def _run(app: StageApp, stop: asyncio.Event, on_ready: Callable[[], Awaitable[None]] | None) -> None:
    if not await _broker_ready(app, stop):
        return
    lateness = asyncio.ensure_future(watch_lateness(app.stage.name))
    strangers = asyncio.ensure_future(app.strangers.watching())
    await app.stage.start()
    try:
        app.finalize()
        await app.start()
        if on_ready is not None:
            await on_ready()
        await _until_stopped(app, stop)
        reason = crash_of(app)
        crashed = reason is not None
        # A crashed app must not commit what it may hold in half; the outbox dies with the process.
        if not crashed:
            await asyncio.wait_for(app.stop(), STOP_WITHIN_S)
    finally:
        lateness.cancel()
        strangers.cancel()
        await app.stage.stop()
    if crashed:
        why = crash_in_words(reason) or type(reason).__name__
        raise WorkerError(f"{app.stage.name} crashed: {why}; start it again, it continues where it committed")


def crash_of(app: Service) -> BaseException | None:
    """Why the app, or any service below it, has crashed; None while none has.

    mode tells the services above of a crash, but its events are not safe between threads: where telling fails on the
    way (`deque mutated during iteration`), the app is never told, and lives on without whatever crashed.
    """
    seen: set[int] = set()
    waiting = [app]
    while waiting:
        service = waiting.pop()
        if id(service) in seen:
            continue
        seen.add(id(service))
        if service.crashed:
            return service.crash_reason or RuntimeError(type(service).__name__)
        below = [getattr(node, "data", node) for node in service.beacon.children]
        waiting += [each for each in (*service._children, *below) if isinstance(each, Service)]
    return None


async def _until_stopped(app: StageApp, stop: asyncio.Event) -> None:
    waiting = asyncio.ensure_future(stop.wait())
    try:
        while not waiting.done() and not app.should_stop and crash_of(app) is None:
            # Faust tells of a crash by a flag only; half a second is soon enough for a process that ends.
            await asyncio.wait([waiting], timeout=0.5)
    finally:
        waiting.cancel()


async def _broker_ready(app: StageApp, stop: asyncio.Event) -> bool:
    """Wait until the broker answers and has the topics. False when asked to stop meanwhile.

    Raises WorkerError, NotAdmittedError, NotAllowedError, AccessError.
    """
    admin: Any = None
    wanted = {*app.stage.inputs, app.stage.state_topic, AUDIT}
    warned = False
    while not stop.is_set():
        try:
            if admin is None:
                admin = await asyncio.to_thread(admin_client, app.bootstrap_servers)
            present = (await asyncio.to_thread(admin.list_topics, timeout=5)).topics
        except KafkaException:
            # Refused, it would wait for ever: the library goes on trying, and says that no broker answers.
            await asyncio.to_thread(ask, app.bootstrap_servers)
            if not warned:
                logger.warning("broker not reachable, waiting for it")
                warned = True
            continue
        missing = wanted - set(present)
        if missing:
            await asyncio.to_thread(_refuse_unseen, admin, missing)
            raise WorkerError(f"missing topics: {', '.join(sorted(missing))}; create them with: vigia topics apply")
        counts = {len(present[topic].partitions) for topic in wanted}
        if len(counts) != 1:
            raise WorkerError("the topics of this stage differ in their number of partitions; see: vigia topics check")
        count = counts.pop()
        await _refuse_another_count(app, count)
        try:
            topic_ids = await asyncio.to_thread(_topic_ids, admin, app.stage.inputs)
        except KafkaException:
            continue
        app.set_topics(count, topic_ids)
        await _name_unsound_brokers(app)
        return True
    return False


async def _name_unsound_brokers(app: StageApp) -> None:
    try:
        lines = warnings(await asyncio.wait_for(metadata_levels(app.bootstrap_servers), VERSIONS_WITHIN_S))
    except (KafkaError, TimeoutError):
        return
    for line in lines:
        logger.warning("%s", line)


def _refuse_unseen(admin: AdminClient, names: set[str]) -> None:
    """Raises NotAllowedError where one of these topics is not missing, but hidden from us."""
    for name in sorted(names):
        error = no_such_topic(name, admin.list_topics(name, timeout=5).topics.get(name))
        if isinstance(error, NotAllowedError):
            raise error


def _topic_ids(admin: AdminClient, names: Sequence[str]) -> dict[str, str]:
    described = admin.describe_topics(TopicCollection(list(names)), request_timeout=5)
    return {name: str(future.result().topic_id) for name, future in described.items()}


async def _refuse_another_count(app: StageApp, count: int) -> None:
    """Raises WorkerError where state was written under another partition count: it would lie beside its cases."""
    topic = app.stage.state_topic
    written = await asyncio.to_thread(written_partition_counts, app.bootstrap_servers, topic, set(range(count)))
    if written - {count}:
        raise WorkerError(
            f"the topics have {count} partitions, and {topic} was written under {min(written)}: added partitions move "
            "cases away from their state; move it first, see docs/runbook.md, partitions added"
        )
