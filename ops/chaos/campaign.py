"""Runs a campaign, from the start of the brokers to the verdict; afterwards nothing is left running."""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from inference.predictor import Predictor
from inference.synthetic.generator import picture
from ops.chaos.bombs import Bomb, make
from ops.chaos.faults import Faults
from ops.chaos.front import Front
from ops.chaos.load import Load
from ops.chaos.outcome import CampaignOutcome, CampaignPlan
from ops.chaos.publishing import Publishing
from ops.chaos.reader import lag, read_all
from ops.chaos.recovery import recoveries
from ops.chaos.reference import Reference
from ops.chaos.schedule import FaultKind, schedule
from ops.chaos.values import Fault, Sent
from ops.chaos.verify import Tolerance, verify
from ops.chaos.workers import STAGES, Workers
from ops.system.system import FIRST_ANSWER_S, Options, System
from schemas.events import ImageReference
from schemas.serde import Serde
from streams import topics
from streams.audit.auditor import Auditor
from streams.broker.cluster import Cluster, UnreadableError
from streams.images.store import ImageStore
from streams.stages.policy.file import load_policy

#: Distinct pictures. The verifier runs the model once on each of them, the pipeline once per case.
PICTURES = 42
#: After the last case the pipeline is at rest when its lag has been near zero for `QUIET_S` (the markers of the last
#: transactions lie behind every commit); it is stuck when its lag has not changed for `STUCK_S`, which is longer than
#: the slowest restart.
QUIET_S, STUCK_S = 8.0, 75.0
NEAR_ZERO = 40


def run(
    plan: CampaignPlan, tell: Callable[[str], None], show: Callable[[str], None] = lambda _: None
) -> CampaignOutcome:
    """Run a campaign. `tell` gets lines of a log, `show` the present step. Raises EmbeddedError, UnreadableError."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vigia-chaos-", ignore_cleanup_errors=True) as folder:
        run_dir = plan.keep or Path(folder)
        options = Options(run_dir=run_dir / "run", brokers=plan.brokers, kafka=plan.kafka, programs=())
        # Without this user's settings: a campaign must break only what it has started itself.
        env = {name: value for name, value in os.environ.items() if not name.startswith("VIGIA_")}
        env |= {"XDG_DATA_HOME": str(run_dir), "VIGIA_HEAT_MAPS": "off"}
        show("starting brokers and registry")
        with System(options, tell, env=env) as system:
            assert system.registry is not None
            with Front(system.registry.url) as front:
                met = {"VIGIA_SCHEMA_REGISTRY_URL": front.url}
                workers = Workers(run_dir / "run", {**env, **system.environment, **met}, tell)
                try:
                    return _run(plan, system, workers, front, tell, show, started)
                finally:
                    workers.stop()


def _run(
    plan: CampaignPlan,
    system: System,
    workers: Workers,
    front: Front,
    tell: Callable[[str], None],
    show: Callable[[str], None],
    started: float,
) -> CampaignOutcome:
    settings = system.settings
    serde = Serde(settings.schema_registry_url, timeout_s=FIRST_ANSWER_S)
    # The registry will be away at times: publishing must not need it.
    serde.warm_up(topics.RECORDS)
    store = ImageStore.from_settings(settings)
    planned_faults = schedule(plan.seed, plan.faults)
    images = system.run_dir / "images"
    dear = any(planned.kind is FaultKind.BOMB for planned in planned_faults)
    pictures, bombs, reference = _reference(store, plan.seed, images if dear else None)
    for program in STAGES:
        for _ in range(plan.workers):
            workers.add(program)
    rng = random.Random(plan.seed)  # noqa: S311 - repeatable on purpose
    load = Load(Publishing(settings.bootstrap_servers), serde, pictures, reference, rng, bombs)
    faults = Faults(system, workers, load, front, images, tell)
    end = threading.Event()
    deadline = time.monotonic() + plan.duration_s
    thread = threading.Thread(
        target=load.run, args=(plan.cases, plan.rate, lambda: end.is_set() or time.monotonic() > deadline)
    )
    thread.start()
    try:
        for planned in planned_faults:
            while thread.is_alive() and load.published < planned.at * plan.cases:
                show(_progress(plan, load, faults.done, workers))
                time.sleep(0.1)
            if not thread.is_alive():
                break
            faults.start(planned)
        while thread.is_alive():
            show(_progress(plan, load, faults.done, workers))
            thread.join(0.2)
        faults.finish()
    finally:
        end.set()
        thread.join()
        faults.cancel()
    sent = load.publishing.finish(90.0)
    show("waiting until every stage has read to its end")
    cluster = Cluster(settings.bootstrap_servers)
    settled = _settle(lambda: lag(settings, cluster), plan.settle_s)
    if not settled:
        tell(f"the pipeline did not come to rest within {plan.settle_s:.0f} s")
    if load.failure is not None:
        tell(f"the flow of cases ended after {load.published}: {type(load.failure).__name__}")
    restarts = workers.restarts()
    show("reading every topic")
    # Taken before the reading, which takes minutes: an escalation raised meanwhile is not among the records read.
    until = datetime.now(UTC)
    seen = read_all(settings, serde)
    show(f"verifying {len(seen)} records")
    limits = Tolerance(until=until, late_after=timedelta(seconds=plan.late_after_s), excuses=tuple(faults.excuses))
    verdict = verify(sent, seen, reference, limits)
    show("verifying the audit chain")
    audit = Auditor(settings.bootstrap_servers, serde.registry).verify().as_json()
    return CampaignOutcome(
        plan=plan,
        verdict=verdict,
        audit=audit,
        recoveries=recoveries(faults.done, seen),
        cases=load.published,
        records=len(seen),
        seconds=time.monotonic() - started,
        restarts=restarts,
        settled=settled,
        unconfirmed=_unconfirmed(sent),
        producers_replaced=load.publishing.replaced,
        flowed=load.failure is None,
    )


def _reference(
    store: ImageStore, seed: int, bombs_below: Path | None
) -> tuple[list[ImageReference], list[Bomb], Reference]:
    predictor = Predictor.load()
    pictures = [store.put(picture(seed=seed, index=index, size=160).jpeg()) for index in range(PICTURES)]
    judged = predictor.predict([store.fetch(each) for each in pictures])
    said = {each.sha256: finding for each, finding in zip(pictures, judged, strict=True)}
    bombs: list[Bomb] = []
    if bombs_below is not None:
        bombs, of_bombs = make(bombs_below, predictor.predict)
        said |= of_bombs
    version = predictor.model_version
    predictor.close()
    return pictures, bombs, Reference(predict=said.__getitem__, model_version=version, policy=load_policy(None))


def _settle(waiting: Callable[[], int], patience_s: float) -> bool:
    """Whether the lag came to rest near zero: not at zero, since markers of transactions and deadlines that pass keep
    it a little above. False when it does not change at a higher value for `STUCK_S`, or after `patience_s`."""
    started = time.monotonic()
    busy_at = moved_at = started
    last = None
    while time.monotonic() - started < patience_s:
        try:
            now = waiting()
        except UnreadableError:
            now = None
        at = time.monotonic()
        if now is None or now > NEAR_ZERO:
            busy_at = at
        if now is None or now != last:
            last, moved_at = now, at
        if at - busy_at > QUIET_S:
            return True
        if at - moved_at > STUCK_S:
            return False
        time.sleep(0.5)
    return False


def _progress(plan: CampaignPlan, load: Load, done: Sequence[Fault], workers: Workers) -> str:
    last = f", last: {done[-1].kind} ({done[-1].target})" if done else ""
    count = len(workers.names())
    return f"{load.published} of {plan.cases} cases, {len(done)} of {plan.faults} faults{last}, {count} workers"


def _unconfirmed(sent: Sequence[Sent]) -> int:
    """How many distinct records were never confirmed, however often they were published."""
    tries = {(one.topic, one.key, one.value) for one in sent}
    return len(tries - {(one.topic, one.key, one.value) for one in sent if one.acked})
