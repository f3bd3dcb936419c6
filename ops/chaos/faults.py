"""Carries out the planned faults, each in a thread of its own, so that a pause does not hold up the next fault."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ops.chaos import vandal
from ops.chaos.front import ANSWERS, Front
from ops.chaos.load import Load
from ops.chaos.schedule import FaultKind, PlannedFault
from ops.chaos.values import Excuse, Fault
from ops.chaos.workers import STAGES, Workers
from ops.embedded.errors import EmbeddedError
from ops.embedded.process import ChildProcess
from ops.system.system import System

#: Longer than the session timeout (6 s) and the takeover by the other workers.
ZOMBIE_S = 9.0
#: Longer than it takes to notice that a process stands still (30 s), and to end it.
FROZEN_S = 60.0
#: Longer than the broker's session (2 s in a cluster of three): the others elect new leaders meanwhile.
BROKER_PAUSE_S = 4.0
REGISTRY_PAUSE_S = 8.0
#: Longer than an emergency waits for its picture (5 s), shorter than a routine case does (30 s).
STORE_AWAY_S = 7.0
#: How long after the store came back a dead letter may still name it: an emergency waits 5 s for its picture; the rest
#: is margin.
STORE_EXCUSED_S = 20.0
#: The same for the registry, which takes some seconds to start.
REGISTRY_EXCUSED_S = 60.0
#: How long the registry stays vandalised: longer than a worker takes to start, and to take its partitions over.
VANDALISED_S = 12.0
#: How long decoders are killed after pictures came that keep them busy.
DECODERS_KILLED_S = 3.0
#: A stage never has more workers than there are partitions.
MOST_WORKERS = 3

_T = TypeVar("_T")


class Faults:
    """Carries out planned faults on a running system, and records when each began and ended."""

    def __init__(
        self, system: System, workers: Workers, load: Load, front: Front, images: Path, tell: Callable[[str], None]
    ) -> None:
        self.done: list[Fault] = []
        self.excuses: list[Excuse] = []
        self._system, self._workers, self._load, self._images, self._tell = system, workers, load, images, tell
        self._front = front
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="fault")
        self._end = threading.Event()
        # One service fault at a time: with two of three brokers away nothing can be written, as is well known.
        self._service, self._store = threading.Lock(), threading.Lock()

    def start(self, planned: PlannedFault) -> None:
        """Do a fault in the background."""
        self._pool.submit(self._do, planned)

    def finish(self) -> None:
        """Wait until every fault has ended and its effects are undone."""
        self._pool.shutdown(wait=True)

    def cancel(self) -> None:
        """Undo what is under way at once."""
        self._end.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _do(self, planned: PlannedFault) -> None:
        started = time.time()
        try:
            target = self._act(planned)
        except (EmbeddedError, OSError) as error:
            target = f"not done: {type(error).__name__}"
        if target:
            self.done.append(Fault(kind=planned.kind.value, target=target, start=started, end=time.time()))
            self._tell(f"{planned.kind.value}: {target}")

    def _act(self, planned: PlannedFault) -> str:
        match planned.kind:
            case FaultKind.KILL_WORKER:
                return self._kill_worker(planned.draw)
            case FaultKind.PAUSE_WORKER:
                return self._pause_worker(planned.draw)
            case FaultKind.KILL_BROKER | FaultKind.PAUSE_BROKER:
                assert self._system.kafka is not None
                broker = _pick(self._system.kafka.brokers, planned.draw).process
                return self._on_service(broker, BROKER_PAUSE_S if planned.kind is FaultKind.PAUSE_BROKER else None)
            case FaultKind.KILL_REGISTRY | FaultKind.PAUSE_REGISTRY:
                assert self._system.registry is not None
                pause = REGISTRY_PAUSE_S if planned.kind is FaultKind.PAUSE_REGISTRY else None
                return self._on_service(self._system.registry.process, pause)
            case FaultKind.STORE_AWAY:
                return self._store_away()
            case FaultKind.SCALE_UP | FaultKind.SCALE_DOWN:
                return self._scale(planned)
            case FaultKind.POISON:
                return self._load.poison(planned.draw)
            case FaultKind.HOSTILE:
                return self._load.hostile(planned.draw)
            case FaultKind.FLOOD:
                return self._load.flood(planned.draw)
            case FaultKind.FROZEN_WORKER:
                return self._freeze_worker(planned.draw)
            case FaultKind.BOMB:
                return self._bomb(planned.draw)
            case FaultKind.VANDALISED:
                return self._vandalise(planned.draw)
            case FaultKind.DUPLICATES:
                return self._load.duplicates(planned.draw)
            case FaultKind.RESTART_ALL:
                return self._restart_all()

    def _kill_worker(self, draw: float) -> str:
        name = _pick(self._workers.names(), draw)
        return name if self._workers.signal(name, signal.SIGKILL) else ""

    def _pause_worker(self, draw: float) -> str:
        name = _pick(self._workers.names(), draw)
        if not self._workers.signal(name, signal.SIGSTOP):
            return ""
        self._end.wait(ZOMBIE_S)
        self._workers.signal(name, signal.SIGCONT)
        return name

    def _freeze_worker(self, draw: float) -> str:
        name = _pick(self._workers.names(), draw)
        before = self._workers.pid(name)
        if before is None or not self._workers.signal(name, signal.SIGSTOP):
            return ""
        deadline = time.monotonic() + FROZEN_S
        while self._workers.pid(name) == before:
            if time.monotonic() > deadline or self._end.wait(0.2):
                self._workers.signal(name, signal.SIGCONT)
                return f"{name}, and nobody ended it"
        return f"{name}, ended and started again"

    def _bomb(self, draw: float) -> str:
        kinds = self._load.bomb(draw)
        killed, deadline = 0, time.monotonic() + DECODERS_KILLED_S
        # Every other time the pictures are left to be decoded: what they cost then is of interest too.
        while int(draw * 1_000) % 2 and time.monotonic() < deadline and not self._end.wait(0.2):
            killed += self._workers.kill_decoders()
        return f"{kinds}; {killed} decoders killed"

    def _vandalise(self, draw: float) -> str:
        ways = [*vandal.DEEDS, *ANSWERS]
        way = _pick(ways, draw)
        assert self._system.registry is not None
        url = self._system.registry.url
        started = time.time()
        with self._service:
            # Whoever broke it before may not have waited until it was there again.
            self._mend_registry(url)
            if way in ANSWERS:
                with self._front.lying(ANSWERS[way]):
                    self._meet_the_registry(draw)
            else:
                vandal.DEEDS[way](url)
                self._meet_the_registry(draw)
            self._mend_registry(url)
        self._registry_was_away(started)
        return way

    def _mend_registry(self, url: str) -> None:
        while not vandal.mend(url) and not self._end.wait(0.5):
            pass

    def _meet_the_registry(self, draw: float) -> None:
        """Let the workers of one stage start while it is as it is: nobody else asks it anything."""
        for name in self._workers.of(_pick(STAGES, draw * 7 % 1.0)):
            self._workers.signal(name, signal.SIGKILL)
        self._end.wait(VANDALISED_S)

    def _on_service(self, child: ChildProcess, pause_s: float | None) -> str:
        started = time.time()
        with self._service:
            if not child.running:
                return ""
            if pause_s is None:
                # Only the signal: its supervisor notices and starts it again.
                child.signal(signal.SIGKILL)
                self._end.wait(4.0)
            else:
                child.pause()
                self._end.wait(pause_s)
                child.resume()
        if self._system.registry is not None and child is self._system.registry.process:
            self._registry_was_away(started)
        return child.name

    def _registry_was_away(self, started: float) -> None:
        # A worker that starts meanwhile knows no ids: an emergency waits 5 s for the registry, then people are asked.
        self.excuses.append(Excuse(reason="registry_unavailable", start=started, end=time.time() + REGISTRY_EXCUSED_S))

    def _store_away(self) -> str:
        away = self._images.with_name("images-away")
        with self._store:
            started = time.time()
            self._images.rename(away)
            try:
                self._end.wait(STORE_AWAY_S)
            finally:
                away.rename(self._images)
            self.excuses.append(Excuse(reason="store_unavailable", start=started, end=time.time() + STORE_EXCUSED_S))
        return f"{STORE_AWAY_S:.0f} s"

    def _scale(self, planned: PlannedFault) -> str:
        program = _pick(STAGES, planned.draw)
        names = self._workers.of(program)
        up = planned.kind is FaultKind.SCALE_UP
        # At the bound a worker is removed instead of added, or the other way round: no fault is skipped.
        if (up and len(names) < MOST_WORKERS) or len(names) <= 1:
            return f"{self._workers.add(program)} joins"
        self._workers.remove(names[0])
        return f"{names[0]} leaves"

    def _restart_all(self) -> str:
        started = time.time()
        with self._service:
            for name in self._workers.names():
                self._workers.signal(name, signal.SIGKILL)
            assert self._system.kafka is not None
            assert self._system.registry is not None
            for child in (*(broker.process for broker in self._system.kafka.brokers), self._system.registry.process):
                if child.running:
                    child.signal(signal.SIGKILL)
            self._end.wait(6.0)
        self._registry_was_away(started)
        return "workers, brokers, registry"


def _pick(items: Sequence[_T], draw: float) -> _T:
    return items[min(len(items) - 1, int(draw * len(items)))]
